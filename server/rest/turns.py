"""Turns: plain requests of connections, and how those of one moment are asked together.

Requests that each name one key, of one model and version, are one request to the core with as many
rows: what a request costs is then paid once a moment, and not once a client.
"""

import asyncio
import re
from collections.abc import Callable, Sequence

from uvicorn.server import ServerState

from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import OF_ONE_KEY
from server.inference.requests import Request
from server.rest import predict
from server.rest.heads import Head, Target
from server.rest.replies import Replies
from server.rest.vigil import Vigil

# {"keys":["patient:17"]} as programs write it, a line each; what needs unescaping is left to the parser.
ONE_KEY = re.compile(rb'^\{"keys": ?\["([^"\\\x00-\x1f]+)"\]\}$', re.MULTILINE)
BODY_BYTES = 2048  # a longer body names no single key


class Turn:
    """One request of a connection; answers leave in the order of the requests."""

    __slots__ = ("_flush", "group", "reply", "request", "state", "task")

    def __init__(self, state: ServerState, flush: Callable[[], None]) -> None:
        """Take what the headers of every answer stand in, and what writes answers whose turn it is."""
        self.state = state
        self._flush = flush
        self.reply: bytes | None = None
        self.request: Request | None = None
        self.group: Gathered | None = None
        self.task: asyncio.Task[None] | None = None

    def write(self, reply: bytes) -> None:
        """Write the answer when it is this one's turn; what led here is let go, or only a collection frees it."""
        self.reply = reply
        self.request = self.group = self.task = None
        self._flush()


class Gathered:
    """Requests of one moment, at most `most`, that become one; `left` of their clients have gone."""

    __slots__ = ("bodies", "left", "most", "request", "turns")

    def __init__(self, most: int) -> None:
        self.most = most
        self.bodies: list[bytes] = []
        self.turns: list[Turn] = []
        self.request: Request | None = None
        self.left = 0


class Group(Gathered):
    """Requests of one moment for one key each.

    Until it is asked for, a group has the bodies as they came; `written` are the keys as they stand
    in them, in JSON.
    """

    __slots__ = ("keys", "written")

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.keys: list[str] = []
        self.written: list[bytes] = []

    def part(self, rows: Sequence[int]) -> "Group":
        """Return some of the requests as a group of their own."""
        part = Group(len(rows))
        part.keys = [self.keys[row] for row in rows]
        part.written = [self.written[row] for row in rows]
        part.turns = [self.turns[row] for row in rows]
        for turn in part.turns:
            if turn.group is None:
                part.left += 1
            else:
                turn.group = part
        return part


class Turns:
    """Asks the core for what turns want, and writes what it says; the turns are those of one server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._predictor = engine.predictor
        self._catalogue = engine.catalogue
        self._replies = Replies()
        self._groups: dict[Target, Group] = {}
        self._rows = engine.limits.rows
        self._moment = engine.moment
        self._loop = asyncio.get_running_loop()
        self._reading, self._after_reading = engine.reading, engine.after_reading
        self._begun = False  # something has come that will be asked for
        self._waiting = 0  # so many of it had come when they were last looked at, while others are read for
        self._asked = 0  # requests of this moment that were asked for
        self._expected = 1  # as many as the last moment had
        self._vigil = Vigil(engine.limits.again_seconds)

    def take(self, turn: Turn, head: Head, body: bytes) -> None:
        """Begin to answer one request."""
        if head.timeout_ms is None and len(body) <= BODY_BYTES:
            self.gather(turn, head.target, body)
        else:
            self._parsed(turn, head.target, body, head.timeout_ms)

    def gather(self, turn: Turn, target: Target, body: bytes) -> None:
        """Begin to answer one request together with others of this moment, if it names a key as they do."""
        group = self._groups.get(target)
        if group is None:
            group = self._group(target)
        turn.group = group
        group.turns.append(turn)
        group.bodies.append(body)
        if len(group.bodies) >= group.most:
            del self._groups[target]
            with self._moment:
                self._ask(target, group)

    def _parsed(self, turn: Turn, target: Target, body: bytes, timeout_ms: str | None) -> None:
        """Begin to answer a request of any other form."""
        try:
            self._alone(predict.of_bytes(*target, body, timeout_ms), turn)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            self._engine.refused(target[0], error)
            turn.write(self._replies.of(error, turn.state.default_headers))

    def _alone(self, ask: Ask, turn: Turn) -> None:
        """Ask for one request."""

        def answered(outcome: Answer | Exception) -> None:
            turn.write(self._replies.of(outcome, turn.state.default_headers))

        request = self._predictor.submit(ask, answered)
        if request.open:
            turn.request = request

    def _group(self, target: Target) -> Group:
        """Begin a group, which is asked for when it has as many keys as the last time.

        So a request that is alone is not held up, and those that come together leave together. While
        features are on their way from a Redis that is near, it waits as long as more comes: see `_end`.
        """
        if not self._begun:
            self._begun = True
            self._loop.call_soon(self._end)
        enough = self._rows if self._reading() else max(1, min(self._rows, self._expected))
        group = self._groups[target] = Group(enough)
        return group

    def _end(self) -> None:
        """End a moment: ask for what came in it, or wait for more as long as more comes and others are read for."""
        if self._groups and self._reading():
            self._after_reading(self._ask_all)
            waiting = sum([len(group.bodies) for group in self._groups.values()])
            if waiting > self._waiting:
                self._waiting = waiting
                self._loop.call_soon(self._end)
                return
        self._ask_all()

    def _ask_all(self) -> None:
        """Ask for everything that has come, if nobody has meanwhile.

        What is answered at once lets go on what its client has sent behind it: that begins a moment of its own.
        """
        if not self._begun:
            return
        groups, self._groups = self._groups, {}
        self._begun, self._waiting = False, 0
        with self._moment:
            for target, group in groups.items():
                self._ask(target, group)
        self._expected, self._asked = self._asked, 0

    def _ask(self, target: Target, group: Group) -> None:
        """Ask for a group; under a traffic rule for the keys of each version together."""
        self._asked += len(group.bodies)
        if len(group.bodies) == 1:
            self._vigil.asked()
        found = keys_in(group.bodies)
        if found is not None:
            group.keys, group.written = found
        else:
            group = self._sorted_out(target, group)
            if not group.turns:
                return
        route = self._catalogue.route(*target)
        if route is None or route.split is None:
            self._submit(target, group, None)
            return
        shares = route.split.parted(group.keys)
        for serving, rows in shares:
            part = group if len(shares) == 1 else group.part(rows)
            self._submit(target, part, serving.manifest.version)

    def _sorted_out(self, target: Target, group: Group) -> Group:
        """Leave the requests that name no single plain key to the parser; return the others."""
        plain = Group(group.most)
        for turn, body in zip(group.turns, group.bodies, strict=True):
            if turn.group is None:  # its client has gone
                continue
            found = keys_in([body])
            if found is None:
                turn.group = None
                self._parsed(turn, target, body, None)
            else:
                turn.group = plain
                plain.turns.append(turn)
                plain.keys += found[0]
                plain.written += found[1]
        return plain

    def _submit(self, target: Target, group: Group, share: int | None) -> None:
        """Ask for a group, all of whose keys go to the same version."""
        callers = len(group.keys)
        model, reference = target  # a call with * is no direct one
        ask = Ask(model, reference, keys=group.keys, callers=callers, share=share)
        if callers > 1:
            ask.apart = OF_ONE_KEY

        def answered(outcome: Answer | Exception) -> None:
            if isinstance(outcome, Exception) and ask.asked_apart(outcome):
                self._each_alone(target, group)
            else:
                self._answered(group, outcome)

        request = self._predictor.submit(ask, answered)
        if request.open:
            group.request = request

    def _each_alone(self, target: Target, group: Group) -> None:
        """Ask for each request of a group by itself: not all of them fit at once."""
        group.request = None
        for key, turn in zip(group.keys, group.turns, strict=True):
            if turn.group is not None:  # its client is still there
                turn.group = None
                self._alone(Ask(*target, (key,)), turn)

    def _answered(self, group: Group, outcome: Answer | Exception) -> None:
        """Write the answers of a group."""
        turns, headers = group.turns, group.turns[0].state.default_headers
        group.request = None
        if isinstance(outcome, Answer):
            replies = self._replies.of_rows(outcome, headers, group.written)
            for turn, reply in zip(turns, replies, strict=True):
                turn.write(reply)
            if len(turns) == 1:
                self._vigil.answered()
        else:
            for turn in turns:
                turn.write(self._replies.of_error(outcome, headers))

    def leave(self, turn: Turn) -> None:
        """Give a request up whose client has gone; a group when all of them have."""
        group, request = turn.group, turn.request
        if group is not None:
            turn.group = None
            group.left += 1
            request = group.request if group.left == len(group.turns) else None
        if request is not None:
            self._predictor.leave(request)
        if turn.task is not None:
            turn.task.cancel()


def keys_in(bodies: Sequence[bytes]) -> tuple[list[str], list[bytes]] | None:
    """Return the key of each body, and as it stands there in JSON; None when any is no single plain key."""
    lines = b"\n".join(bodies)
    found = ONE_KEY.findall(lines)
    if len(found) != len(bodies) or lines.count(b"\n") != len(bodies) - 1:
        return None
    try:
        keys = b"\n".join(found).decode().split("\n")
    except UnicodeDecodeError:
        return None
    return keys, [b'"%b"' % key for key in found]
