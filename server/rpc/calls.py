"""Every call of one message and one answer; each takes and returns bytes, so that a bad message is a caller's error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import InsituError
from server.inference.engine import Engine
from server.open_inference.asking import infer
from server.open_inference.infer import Infer
from server.rpc.describing import model_methods, server_methods
from server.rpc.fixed import fixed_methods
from server.rpc.gathered import Gathered
from server.rpc.heads import Heads
from server.rpc.messages import parsed
from server.rpc.methods import Unary, whole
from server.rpc.replies import response_of
from server.rpc.repository import repository_methods
from server.rpc.requests import infer_of


class Calls:
    """What the protocol's calls do to a running engine."""

    def __init__(self, engine: Engine, version: str) -> None:
        self._engine = engine
        self.heads = Heads()
        self.gathered = Gathered(engine)
        self._methods = (
            server_methods(engine, version)
            | model_methods(engine)
            | repository_methods(engine)
            | fixed_methods(engine)
        )

    def by_name(self) -> dict[str, Unary]:
        """Return every call of one message and one answer."""
        return whole(self._methods) | {"ModelInfer": Unary("predict", self.infer)}

    async def infer(self, data: bytes, seconds_left: float | None) -> bytes:
        """Answer a ModelInferRequest.

        Raises: InsituError.
        """
        asked = self.message(data)
        request = self.request(asked, seconds_left)
        answer = bytes((await self.answer(request)).SerializeToString())
        self.heads.meet(data, asked, request)
        return answer

    def message(self, data: bytes) -> Any:
        """Return a ModelInferRequest of its bytes.

        Raises: BadRequest.
        """
        with self._counted():
            return parsed("ModelInferRequest", data)

    def request(self, asked: Any, seconds_left: float | None) -> Infer:
        """Return what a ModelInferRequest asks for.

        Raises: BadRequest.
        """
        with self._counted():
            return infer_of(asked, seconds_left)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a request that the core never gets to see; the model it names may be any text."""
        try:
            yield
        except InsituError as error:
            self._engine.metrics.failed("unknown", error.code)
            raise

    async def answer(self, request: Infer) -> Any:
        """Return the ModelInferResponse to a request.

        Raises: InsituError.
        """
        return response_of(await infer(self._engine, request))
