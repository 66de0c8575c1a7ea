"""Turns: plain requests of connections, and how those of one moment are asked together.

Requests that each name one key, of one model and version, are one request to the core with as many
rows: what a request costs is then paid once a moment, and not once a client.
"""

import asyncio
import re
from collections.abc import Callable

from uvicorn.server import ServerState

from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import TOO_MUCH_AT_ONCE
from server.inference.reading.link import SEND_BYTES
from server.inference.requests import Request
from server.inference.routing import Route
from server.rest import predict
from server.rest.asks import Reference
from server.rest.heads import Head, Target
from server.rest.replies import Replies

# {"keys":["patient:17"]} as programs write it; what needs unescaping is left to the parser.
ONE_KEY = re.compile(rb'\{"keys": ?\["([^"\\\x00-\x1f]+)"\]\}')
KEY_BYTES = 16

Place = Target | tuple[str, Reference, int]  # a target, with the version that a traffic rule gives its key


class Turn:
    """One request of a connection; answers leave in the order of the requests."""

    __slots__ = ("_flush", "group", "reply", "request", "state")

    def __init__(self, state: ServerState, flush: Callable[[], None]) -> None:
        """Take what the headers of every answer stand in, and what writes answers whose turn it is."""
        self.state = state
        self._flush = flush
        self.reply: bytes | None = None
        self.request: Request | None = None
        self.group: Group | None = None

    def write(self, reply: bytes) -> None:
        """Write the answer when it is this one's turn; what led here is let go, or only a collection frees it."""
        self.reply = reply
        self.request = self.group = None
        self._flush()


class Group:
    """Requests of one moment for one key each."""

    __slots__ = ("keys", "left", "most", "place", "request", "turns")

    def __init__(self, place: Place, most: int) -> None:
        self.place = place
        self.most = most
        self.keys: list[str] = []
        self.turns: list[Turn] = []
        self.request: Request | None = None
        self.left = 0


def key_alone(body: bytes) -> str | None:
    """Return the key of a body that is one key and nothing else; None for any other, which is parsed."""
    found = ONE_KEY.fullmatch(body)
    try:
        return None if found is None else found[1].decode()
    except UnicodeDecodeError:
        return None


class Turns:
    """Asks the core for what turns want, and writes what it says; the turns are those of one server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._predictor = engine.predictor
        self._catalogue = engine.catalogue
        self._replies = Replies()
        self._groups: dict[Place, Group] = {}
        self._rows = engine.limits.rows
        self._moment = engine.moment
        self._call_soon = asyncio.get_running_loop().call_soon
        self._taken = 0  # requests of this moment for one key each
        self._expected = 0  # as many as the last moment had

    def take(self, turn: Turn, head: Head, body: bytes) -> None:
        """Begin to answer one request."""
        try:
            key = key_alone(body) if head.timeout_ms is None else None
            if key is not None:
                self._together(head.target, key, turn)
            else:
                self._alone(predict.of_bytes(*head.target, body, head.timeout_ms), turn)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            predict.count(self._engine, error)
            turn.write(self._replies.of(error, turn.state.default_headers))

    def _alone(self, ask: Ask, turn: Turn) -> None:
        """Ask for one request."""

        def answered(outcome: Answer | Exception) -> None:
            turn.write(self._replies.of(outcome, turn.state.default_headers))

        request = self._predictor.submit(ask, answered)
        if request.open:
            turn.request = request

    def _together(self, target: Target, key: str, turn: Turn) -> None:
        """Ask for a key together with the others of this moment, those of its own version under a traffic rule.

        The first is not held up where none is expected to follow.
        """
        group = self._groups.get(target)  # there is none under a traffic rule
        if group is None:
            group = self._group(target, key)
        turn.group = group
        group.keys.append(key)
        group.turns.append(turn)
        if not self._taken:
            self._call_soon(self._end)
        self._taken += 1
        if len(group.keys) == group.most or (self._taken == 1 and self._expected == 1):
            with self._moment:
                self._ask(group.place)

    def _end(self) -> None:
        """End a moment: ask for everything that came in it."""
        self._expected, self._taken = self._taken, 0
        with self._moment:
            for place in [*self._groups]:
                self._ask(place)

    def _group(self, target: Target, key: str) -> Group:
        """Return the group of this moment that a key belongs to."""
        route = self._catalogue.route(*target)
        place: Place = target
        if route is not None and route.split is not None:
            place = (*target, route.split.of(key).manifest.version)
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = Group(place, self._most(route))
        return group

    def _most(self, route: Route | None) -> int:
        """Return how many keys are worth a write: Redis reads for them while the rest are taken in."""
        plan = None if route is None else route.serving.plan
        row_bytes = KEY_BYTES + (0 if plan is None else plan.command_bytes)
        return min(self._rows, -(-SEND_BYTES // row_bytes))

    def _ask(self, place: Place) -> None:
        """Ask for what came since the last time."""
        group = self._groups.pop(place, None)
        if group is None:
            return
        target = (place[0], place[1])
        share = place[2] if len(place) == 3 else None

        def answered(outcome: Answer | Exception) -> None:
            self._answered(target, group, outcome)

        ask = Ask(*target, group.keys, callers=len(group.keys), share=share)
        request = self._predictor.submit(ask, answered)
        if request.open:
            group.request = request

    def _answered(self, target: Target, group: Group, outcome: Answer | Exception) -> None:
        """Write the answers of a group; where not all of them fit at once, each is asked for by itself."""
        turns, replies = group.turns, self._replies
        group.request = None
        if isinstance(outcome, Answer):
            written = replies.of_rows(outcome, turns[0].state.default_headers)
            for turn, reply in zip(turns, written, strict=True):
                turn.write(reply)
        elif isinstance(outcome, TOO_MUCH_AT_ONCE) and len(turns) > 1:
            for key, turn in zip(group.keys, turns, strict=True):
                turn.group = None
                self._alone(Ask(*target, (key,)), turn)
        else:
            for turn in turns:
                turn.write(replies.of_error(outcome, turn.state.default_headers))

    def leave(self, turn: Turn) -> None:
        """Give a request up whose client has gone; a group when all of them have."""
        group, request = turn.group, turn.request
        if group is not None:
            group.left += 1
            request = group.request if group.left == len(group.turns) else None
        if request is not None:
            self._predictor.leave(request)
