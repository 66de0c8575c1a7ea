"""Every call of one message and one answer; each takes and returns bytes, so that a bad message is a caller's error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import InsituError
from server.inference.engine import Engine
from server.open_inference.asking import infer
from server.open_inference.infer import Infer, Inferred
from server.rpc.beside import beside
from server.rpc.describing import model_methods, server_methods
from server.rpc.fixed import fixed_methods
from server.rpc.gathered import Gathered
from server.rpc.heads import Heads
from server.rpc.messages import parsed
from server.rpc.methods import Unary, whole
from server.rpc.replies import written
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
        asked = await self.message(data)
        request = await self.request(asked, seconds_left, len(data))
        inferred = await self.answer(request)
        answer = await beside(inferred.nbytes, written, inferred)
        self.heads.meet(data, asked, request)
        return answer

    async def message(self, data: bytes) -> Any:
        """Return a ModelInferRequest of its bytes.

        Raises: BadRequest.
        """
        with self._counted(""):
            return await beside(len(data), parsed, "ModelInferRequest", data)

    async def request(self, asked: Any, seconds_left: float | None, size: int) -> Infer:
        """Return what a ModelInferRequest of so many bytes asks for.

        Raises: BadRequest.
        """
        with self._counted(asked.model_name):
            return await beside(size, infer_of, asked, seconds_left)

    @contextmanager
    def _counted(self, model: str) -> Iterator[None]:
        """Count a request that the core never gets to see."""
        try:
            yield
        except InsituError as error:
            self._engine.refused(model, error)
            raise

    async def answer(self, request: Infer) -> Inferred:
        """Return the answer to a request.

        Raises: InsituError.
        """
        return await infer(self._engine, request)
