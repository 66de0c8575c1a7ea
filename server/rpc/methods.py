"""What a call is: who may make it, and what answers its message."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.access import Scope
from server.rpc.messages import parsed

Call = Callable[[bytes, float | None], Awaitable[bytes]]
Method = Callable[[Any], Awaitable[Any]]
Methods = dict[str, tuple[Scope | None, Method]]


@dataclass(frozen=True, slots=True)
class Unary:
    """One call of one message and one answer: who may make it, None is everybody, and what answers its bytes."""

    scope: Scope | None
    call: Call


def whole(methods: Mapping[str, tuple[Scope | None, Method]]) -> dict[str, Unary]:
    """Return calls that read their message and write their answer."""
    return {name: Unary(scope, reading(name, method)) for name, (scope, method) in methods.items()}


def reading(name: str, method: Method) -> Call:
    """Return a call of bytes."""

    async def call(data: bytes, _seconds_left: float | None) -> bytes:
        return bytes((await method(parsed(f"{name}Request", data))).SerializeToString())

    return call
