"""An answer of the protocol -> a ModelInferResponse, its tensors always raw, as Triton's are."""

from typing import Any

from server.open_inference.infer import Inferred, Parameter
from server.open_inference.tensors import to_bytes
from server.rpc.messages import message


def response_of(answer: Inferred) -> Any:
    """Return the message of an answer."""
    response = message("ModelInferResponse")(
        model_name=answer.model, model_version=str(answer.version), id=answer.id
    )
    for name, value in answer.parameters.items():
        set_parameter(response.parameters[name], value)
    for one in answer.outputs:
        response.outputs.add(name=one.name, datatype=one.datatype, shape=one.tensor.shape)
        response.raw_output_contents.append(to_bytes(one.tensor))
    return response


def set_parameter(parameter: Any, value: Parameter) -> None:
    """Give a parameter its value."""
    match value:
        case bool():
            parameter.bool_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case _:
            parameter.string_param = value
