"""Turns of inference: plain requests of connections, and how those of one moment and form are run together.

What a request costs is then paid once a moment, and not once a client, as for keys in `rest/turns.py`.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from models.errors import InsituError
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import OF_ONE_CALLER
from server.inference.loading import Serving
from server.open_inference.asking import begun, infer, joining, meant
from server.open_inference.infer import Infer, Inferred
from server.rest.heads import Head
from server.rest.turns import Gathered, Turn
from server.rest.v2 import compression
from server.rest.v2.bodies import EVERY_BINARY, infer_of
from server.rest.v2.forms import Form, Forms
from server.rest.v2.infer import hurried
from server.rest.v2.messages import Messages
from server.rest.vigil import Vigil

log = logging.getLogger(__name__)

Name = tuple[Head, bytes]  # of a group: the head of its requests and their JSON


class InferGroup(Gathered):
    """Requests of one moment that differ in the bytes of their tensors only."""

    __slots__ = ("form",)

    def __init__(self, form: Form, most: int) -> None:
        super().__init__(most)
        self.form = form


class InferTurns:
    """Asks the core for what turns want, and writes what it says; the turns are those of one server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._forms = Forms()
        self._messages = Messages()
        self._groups: dict[Name, InferGroup] = {}
        self._moment = engine.moment
        self._call_soon = asyncio.get_running_loop().call_soon
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = False  # something has come in this moment
        self._asked = 0  # requests of this moment that were asked for
        self._expected = 1  # as many as the last moment had
        self._vigil = Vigil(engine.limits.again_seconds)

    def take(self, turn: Turn, head: Head, body: bytes) -> None:
        """Begin to answer one request, together with others of this moment where it is like them."""
        if not head.json_bytes or head.timeout_ms is not None:
            self._alone(turn, head, body)
            return
        form = self._forms.of(body, head.json_bytes)
        if form is None or len(body) - head.json_bytes != form.size:
            self._alone(turn, head, body)
            return
        name = (head, body[: head.json_bytes])
        group = self._groups.get(name)
        if group is None:
            group = self._group(name, form)
        turn.group = group
        group.turns.append(turn)
        group.bodies.append(body)
        if len(group.bodies) >= group.most:
            del self._groups[name]
            with self._moment:
                self._ask(name, group)

    def _group(self, name: Name, form: Form) -> InferGroup:
        """Begin a group, which is asked for when it has as many requests as the last moment had."""
        if not self._begun:
            self._begun = True
            self._call_soon(self._end)
        fitting = self._engine.limits.rows // form.rows
        group = self._groups[name] = InferGroup(form, max(1, min(fitting, self._expected)))
        return group

    def _end(self) -> None:
        """End a moment: ask for everything that came in it; what comes while it is asked begins one of its own."""
        groups, self._groups = self._groups, {}
        self._begun = False
        with self._moment:
            for name, group in groups.items():
                self._ask(name, group)
        self._expected, self._asked = self._asked, 0

    def _ask(self, name: Name, group: InferGroup) -> None:
        """Ask for a group."""
        head, _ = name
        self._asked += len(group.turns)
        if len(group.turns) == 1:
            self._vigil.asked()
        serving = joining(self._engine, *head.target)
        if serving is None or not group.form.fits(serving.manifest):
            self._each_alone(head, group)
            return
        feeds = group.form.feeds(group.bodies, head.json_bytes or 0)
        callers, priority = len(group.turns), group.form.priority
        model, reference = head.target  # a call with * is no direct one
        ask = Ask(model, reference, inputs=feeds, callers=callers, tensors=True, priority=priority)
        if callers > 1:
            ask.apart = OF_ONE_CALLER

        def answered(outcome: Answer | Exception) -> None:
            if isinstance(outcome, Exception) and ask.asked_apart(outcome):
                self._each_alone(head, group)
            else:
                self._answered(head, group, serving, outcome)

        request = self._engine.predictor.submit(ask, answered)
        if request.open:
            group.request = request

    def _each_alone(self, head: Head, group: InferGroup) -> None:
        """Ask for each request of a group by itself."""
        group.request = None
        for turn, body in zip(group.turns, group.bodies, strict=True):
            if turn.group is not None:  # its client is still there
                turn.group = None
                self._alone(turn, head, body)

    def _answered(self, head: Head, group: InferGroup, serving: Serving, outcome: Answer | Exception) -> None:
        """Write the answers of a group."""
        group.request = None
        if isinstance(outcome, Answer):
            manifest = meant(self._engine, serving, outcome.version)
            bodies = self._messages.bodies(outcome, manifest, group.form, len(group.turns))
            for turn, body in zip(group.turns, bodies, strict=True):
                self._write(turn, head, *body)
            if len(group.turns) == 1:
                self._vigil.answered()
        else:
            for turn in group.turns:
                self._refuse(turn, outcome)

    def _alone(self, turn: Turn, head: Head, body: bytes) -> None:
        """Ask for one request."""
        try:
            asked = self._read(head, body)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            self._engine.refused(head.target[0], error)
            self._refuse(turn, error)
            return

        def answered(outcome: Inferred | Exception) -> None:
            if isinstance(outcome, Exception):
                self._refuse(turn, outcome)
            else:
                self._told(turn, head, asked, outcome)

        try:
            request = begun(self._engine, asked, answered)
        except InsituError as error:
            self._refuse(turn, error)
            return
        if request is None:
            turn.task = self._spawn(self._looked_up(turn, head, asked))
        elif request.open:
            turn.request = request

    def _read(self, head: Head, body: bytes) -> Infer:
        asked = infer_of(*head.target, memoryview(body), head.json_bytes)
        return asked if head.timeout_ms is None else hurried(asked, head.timeout_ms)

    async def _looked_up(self, turn: Turn, head: Head, asked: Infer) -> None:
        """Answer a request whose version is not loaded yet."""
        try:
            outcome = await infer(self._engine, asked)
        except Exception as error:  # noqa: BLE001  # as in _alone
            self._refuse(turn, error)
        else:
            self._told(turn, head, asked, outcome)

    def _told(self, turn: Turn, head: Head, asked: Infer, outcome: Inferred) -> None:
        try:
            body = self._messages.body(outcome, asked.parameters.get(EVERY_BINARY) is True)
        except Exception as error:  # noqa: BLE001  # as in _alone
            self._refuse(turn, error)
        else:
            self._write(turn, head, *body)

    def _write(self, turn: Turn, head: Head, json_bytes: int | None, body: bytes) -> None:
        """Write an answer, compressed where that is wanted and pays."""
        if head.accepted is None or len(body) < compression.LEAST_BYTES:
            turn.write(self._messages.good(turn.state.default_headers, json_bytes, body))
        else:
            self._spawn(self._compressed(turn, head.accepted, json_bytes, body))

    async def _compressed(self, turn: Turn, encoding: str, json_bytes: int | None, body: bytes) -> None:
        deflated = await compression.deflated(body, encoding)
        turn.write(self._messages.good(turn.state.default_headers, json_bytes, deflated, encoding))

    def _refuse(self, turn: Turn, error: Exception) -> None:
        turn.write(self._messages.error(turn.state.default_headers, error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
