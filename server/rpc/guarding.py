"""Who may make a call, and how what goes wrong in one leaves it."""

from collections.abc import Iterable
from typing import Any

from server.access import Access, NotAllowed, Scope
from server.rpc.errors import code_of, message_of, metadata_of, refuse
from server.rpc.methods import Call
from server.rpc.wire import Refused


def guarded(call: Call) -> Any:
    """Return a call whose errors leave as statuses."""

    async def answered(data: bytes, context: Any) -> bytes:
        try:
            return await call(data, context.time_remaining())
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            await refuse(context, error)

    return answered


def check(access: Access, scope: Scope, metadata: Iterable[tuple[str, Any]]) -> None:
    """Let a call pass.

    No browser speaks gRPC, so there is no page of another origin to tell apart.
    Raises: Unauthorized, Forbidden.
    """
    access.check_token(scope, next((value for name, value in metadata if name == "authorization"), None))


def admit(access: Access, scope: Scope, metadata: Iterable[tuple[str, Any]]) -> None:
    """Let a call pass whose headers have come, and nothing else.

    Raises: Refused.
    """
    try:
        check(access, scope, metadata)
    except NotAllowed as error:
        raise Refused(code_of(error), message_of(error), metadata_of(error)) from error
