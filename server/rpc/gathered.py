"""Requests of one moment that begin alike, asked for together: one row each, one request to the core.

What a request costs beside its run is then paid once a moment and not once a caller. Where not all of them
can be answered at once, each is asked for by itself, and gets the error that is its own.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np

from models.errors import InsituError
from models.tensors import Tensor
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.loading import Serving
from server.inference.requests import Request
from server.open_inference.asking import ask_of, joining, meant
from server.open_inference.infer import Infer, TensorGiven
from server.rpc.heads import Head
from server.rpc.replies import Shapes

Heard = Callable[[bytes | None], None]


class Turn:
    """One request that waits: its message, when its caller gives it up (time.monotonic), who hears of it."""

    __slots__ = ("data", "deadline", "group", "heard")

    def __init__(self, data: bytes, deadline: float | None, heard: Heard) -> None:
        self.data = data
        self.deadline = deadline
        self.heard: Heard | None = heard
        self.group: Group | None = None


class Group:
    """Requests of one moment, and the request to the core that they became."""

    __slots__ = ("head", "left", "request", "turns")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.turns: list[Turn] = []
        self.left = 0
        self.request: Request | None = None


class Gathered:
    """Asks for groups, and hands their answers out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = engine.limits.rows
        self._groups: dict[Head, Group] = {}
        self._loop = asyncio.get_running_loop()
        self._shapes = Shapes()

    def take(self, head: Head, data: bytes, deadline: float | None, heard: Heard) -> Turn:
        """Answer a request; `heard` hears the answer once, None where it has to be asked for alone."""
        group = self._groups.get(head)
        if group is None:
            group = self._begun(head)
        turn = Turn(data, deadline, heard)
        turn.group = group
        group.turns.append(turn)
        if len(group.turns) >= self._rows:
            self._ask(group)
        return turn

    def _begun(self, head: Head) -> Group:
        if not self._groups:
            self._loop.call_soon(self._end)
        group = self._groups[head] = Group(head)
        return group

    def _end(self) -> None:
        """End a moment: ask for everything that came in it."""
        with self._engine.moment:
            for group in [*self._groups.values()]:
                self._ask(group)

    def leave(self, turn: Turn) -> None:
        """Give a request up whose caller has gone; a group when all of them have."""
        group, turn.heard = turn.group, None
        if group is None:
            return
        group.left += 1
        if group.request is not None and group.left == len(group.turns):
            self._engine.predictor.leave(group.request)

    def _ask(self, group: Group) -> None:
        """Ask for a group; one that cannot be asked for whole is left to its callers."""
        del self._groups[group.head]
        request = group.head.request
        serving = joining(self._engine, request.model, request.reference)
        try:
            ask = None if serving is None else asked(group, serving)
        except InsituError:  # what is wrong with all of them
            ask = None
        if serving is None or ask is None:
            hand_out(group, None)
            return
        submitted = self._engine.predictor.submit(ask, partial(self._answered, group, serving))
        if submitted.open:
            group.request = submitted

    def _answered(self, group: Group, serving: Serving, outcome: Answer | Exception) -> None:
        """Hand an answer out; an error is met by each caller alone."""
        if isinstance(outcome, Exception):
            hand_out(group, None)
            return
        manifest = meant(self._engine, serving, outcome.version)
        hand_out(group, self._shapes.rows(group.head.request, outcome, manifest))


def asked(group: Group, serving: Serving) -> Ask | None:
    """Return what the core is asked for a group, None where each of its answers is written by itself.

    Raises: as ask_of.
    """
    request = group.head.request
    wanted = {one.name for one in request.outputs}
    if any(one.dtype == "string" for one in serving.manifest.outputs if not wanted or one.name in wanted):
        return None
    (one,) = request.inputs
    rows = b"".join([group.head.row(turn.data) for turn in group.turns])
    tensor: Tensor = np.frombuffer(rows, one.tensor.dtype).reshape(len(group.turns), *one.tensor.shape[1:])
    given = TensorGiven(one.name, one.datatype, tensor)
    ask = ask_of(Infer(request.model, request.reference, [given], request.outputs), serving)
    if ask.inputs is None:
        return None
    ask.callers, ask.apart = len(group.turns), (Exception,)
    ask.deadline = min((turn.deadline for turn in group.turns if turn.deadline is not None), default=None)
    return ask


def hand_out(group: Group, answers: list[bytes] | None) -> None:
    """Let every caller who is still there hear its answer, or that it has to ask alone."""
    group.request = None
    for place, turn in enumerate(group.turns):
        heard, turn.heard, turn.group = turn.heard, None, None
        if heard is not None:
            heard(None if answers is None else answers[place])
