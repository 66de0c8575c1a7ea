"""The Open Inference Protocol as OpenAPI describes it; bodies are read by hand, answers held to it by the tests."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from server.open_inference.datatypes import DTYPES
from server.rest.schemas import Strict

Datatype = Annotated[str, Field(json_schema_extra={"enum": [*DTYPES]})]
Parameters = dict[str, str | float | bool]


class Lenient(BaseModel):
    """What is not known is not read: clients send words of their own."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class ProtocolError(Strict):
    """The body of every answer under /v2 that is an error."""

    error: str
    """The thing, the value and the cure."""


class ServerMetadata(Strict):
    """What a server says of itself."""

    name: str
    version: str
    extensions: list[str]


class Live(Strict):
    """The process answers."""

    live: bool


class ServerReady(Strict):
    """The process may be sent requests."""

    live: bool
    ready: bool


class ModelReady(Strict):
    """The version may be sent requests."""

    name: str
    ready: bool


class TensorMetadata(Strict):
    """One input or output; a free dimension is -1."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(Strict):
    """The signature of a version."""

    name: str
    versions: list[str]
    """Stored versions, ascending."""

    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str] | None = None
    """Of a model with a feature view: the keys that it reads, and the inputs that name rows in place of tensors."""


class InputTensor(Lenient):
    """One input: `data`, or bytes after the JSON of which `binary_data_size` says how many."""

    name: str
    shape: list[int]
    datatype: Datatype
    parameters: Parameters | None = None
    data: list[Any] | None = None
    """Values row by row, flat or nested as the shape is."""


class OutputAsked(Lenient):
    """One output that is wanted; `binary_data` asks for bytes, `classification` for the likeliest classes."""

    name: str
    parameters: Parameters | None = None


class InferRequest(Lenient):
    """Tensors in; the outputs that are wanted, all of them where none is named."""

    id: str | None = None
    """The answer repeats it."""

    parameters: Parameters | None = None
    """`timeout` in microseconds, `priority` from 1 to 10, `binary_data_output`, `missing`; others are not read."""

    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[OutputAsked] | None = None


class OutputTensor(Strict):
    """One output: `data`, or bytes after the JSON of which `binary_data_size` says how many."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: Parameters | None = None
    data: list[Any] | None = None
    """Values row by row, flat; null where a number is not finite."""


class InferResponse(Strict):
    """The outputs of one request, all by one version."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters | None = None
    """`filled`: values that were absent and stood in for."""

    outputs: list[OutputTensor]


class ModelVersionState(Strict):
    """One version of the index."""

    name: str
    version: str
    state: str
    """READY, UNAVAILABLE, LOADING or UNLOADING."""

    reason: str


class LoadedModel(Strict):
    """The version that a loaded model answers by."""

    name: str
    version: str


class LoadRequest(Lenient):
    """What is loaded: a version that is stored; or a file that comes with the request, which is published."""

    parameters: dict[str, Any] | None = None
    """`config`, a JSON text, and `file:1/model.onnx`, the file in base64."""


class UnloadRequest(Lenient):
    """What is taken out of memory."""

    parameters: dict[str, Any] | None = None
    """`unload_dependents` is read and changes nothing: no model depends on another."""


class IndexRequest(Lenient):
    """What is listed."""

    ready: bool = False
    """Only what is loaded."""
