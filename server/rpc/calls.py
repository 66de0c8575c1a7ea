"""Calls of one message and one answer; each takes and returns bytes, so that a bad message is a caller's error.

ServerLive ServerReady ServerMetadata            open to everybody: they say nothing about models
ModelReady ModelMetadata ModelConfig ModelStatistics RepositoryIndex ModelInfer      scope predict
RepositoryModelLoad RepositoryModelUnload TraceSetting LogSettings *SharedMemory*    scope admin
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict

from models.errors import InsituError
from server.access import Scope
from server.inference.engine import Engine
from server.open_inference.asking import infer
from server.open_inference.describing import config, model_metadata, server_metadata
from server.open_inference.infer import Infer
from server.open_inference.signatures import signature_of
from server.rpc.messages import message, parsed
from server.rpc.replies import response_of
from server.rpc.requests import infer_of, reference_of

Call = Callable[[bytes, float | None], Awaitable[bytes]]
Method = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Unary:
    """One call: who may make it, None is everybody, and what answers its bytes."""

    scope: Scope | None
    call: Call


class Calls:
    """What the protocol's calls do to a running engine."""

    def __init__(self, engine: Engine, version: str) -> None:
        self._engine = engine
        self._version = version

    def by_name(self) -> dict[str, Unary]:
        """Return every call of one message and one answer."""
        methods: dict[str, tuple[Scope | None, Method]] = {
            "ServerLive": (None, self._server_live),
            "ServerReady": (None, self._server_ready),
            "ServerMetadata": (None, self._server_metadata),
            "ModelReady": ("predict", self._model_ready),
            "ModelMetadata": ("predict", self._model_metadata),
            "ModelConfig": ("predict", self._model_config),
        }
        calls = {name: Unary(scope, self._whole(name, method)) for name, (scope, method) in methods.items()}
        return calls | {"ModelInfer": Unary("predict", self.infer)}

    def _whole(self, name: str, method: Method) -> Call:
        """Return a call that reads its message and writes its answer."""

        async def call(data: bytes, _seconds_left: float | None) -> bytes:
            answer: bytes = (await method(parsed(f"{name}Request", data))).SerializeToString()
            return answer

        return call

    async def infer(self, data: bytes, seconds_left: float | None) -> bytes:
        """Answer a ModelInferRequest.

        Raises: InsituError.
        """
        request = self.request(self.message(data), seconds_left)
        return bytes((await self.answer(request)).SerializeToString())

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

    async def _server_live(self, _request: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def _server_ready(self, _request: Any) -> Any:
        return message("ServerReadyResponse")(ready=self._engine.ready()[0])

    async def _server_metadata(self, _request: Any) -> Any:
        return message("ServerMetadataResponse")(**server_metadata(self._version))

    async def _model_ready(self, request: Any) -> Any:
        try:
            await self._engine.catalogue.get(request.name, reference_of(request.version))
        except InsituError:
            return message("ModelReadyResponse")(ready=False)
        return message("ModelReadyResponse")(ready=True)

    async def _model_metadata(self, request: Any) -> Any:
        found = await signature_of(self._engine, request.name, reference_of(request.version))
        return message("ModelMetadataResponse")(**model_metadata(found.manifest, found.versions, found.plan))

    async def _model_config(self, request: Any) -> Any:
        found = await signature_of(self._engine, request.name, reference_of(request.version))
        facts = config(found.manifest, found.plan, self._engine.limits.rows)
        return ParseDict({"config": facts}, message("ModelConfigResponse")())
