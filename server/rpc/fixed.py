"""Calls about what cannot be changed while a server runs: traces, logs, and shared memory, of which there is none."""

from typing import Any

from models.errors import BadRequest, shown
from server.inference.engine import Engine
from server.open_inference.settings import LOG_CURE, NO_TRACE, TRACE_CURE, check_same, logged
from server.open_inference.signatures import signature_of
from server.rpc.messages import message
from server.rpc.methods import Method, Methods


def fixed_methods(engine: Engine) -> Methods:
    """Return the calls by name; what would change something takes a token of scope admin."""

    async def trace(request: Any) -> Any:
        if request.model_name:
            await signature_of(engine, request.model_name, None)
        given = {name: [*one.value] for name, one in request.settings.items()}
        told = {name: [one] if isinstance(one, str) else one for name, one in NO_TRACE.items()}
        check_same(told, {name: value for name, value in given.items() if value}, TRACE_CURE)
        response = message("TraceSettingResponse")()
        for name, values in told.items():
            response.settings[name].value.extend(values)
        return response

    async def logs(request: Any) -> Any:
        told = logged()
        given = {name: value_of(one) for name, one in request.settings.items()}
        check_same(told, {name: value for name, value in given.items() if value is not None}, LOG_CURE)
        response = message("LogSettingsResponse")()
        for name, value in told.items():
            setattr(response.settings[name], param_of(value), value)
        return response

    found: Methods = {"TraceSetting": ("predict", trace), "LogSettings": ("predict", logs)}
    for kind in ("System", "Cuda"):
        found[f"{kind}SharedMemoryStatus"] = ("predict", regions(kind))
        found[f"{kind}SharedMemoryRegister"] = ("predict", registering())
        found[f"{kind}SharedMemoryUnregister"] = ("predict", nothing(f"{kind}SharedMemoryUnregisterResponse"))
    return found


def value_of(setting: Any) -> Any:
    """Return the value of a log setting, None where it has none."""
    kind = setting.WhichOneof("parameter_choice")
    return None if kind is None else getattr(setting, kind)


def param_of(value: Any) -> str:
    """Return the field that a log setting of this value has."""
    return (
        "bool_param"
        if isinstance(value, bool)
        else "uint32_param"
        if isinstance(value, int)
        else "string_param"
    )


def regions(kind: str) -> Method:
    """Return the call that tells which regions are registered: none, ever."""

    async def status(request: Any) -> Any:
        if request.name:
            raise unsupported(request.name)
        return message(f"{kind}SharedMemoryStatusResponse")()

    return status


def registering() -> Method:
    """Return the call that registers a region: it is refused."""

    async def register(request: Any) -> Any:
        raise unsupported(request.name)

    return register


def nothing(response: str) -> Method:
    """Return a call that has nothing to do."""

    async def done(_request: Any) -> Any:
        return message(response)()

    return done


def unsupported(region: str) -> BadRequest:
    """Return the error of a region."""
    return BadRequest(
        f"shared memory region {shown(region)!r} is not there: shared memory is not supported; send tensors "
        "in the request",
        region=shown(region),
    )
