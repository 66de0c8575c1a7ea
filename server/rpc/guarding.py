"""Who may make a call, and how what goes wrong in one leaves it."""

from typing import Any

from server.access import Access, Scope
from server.rpc.errors import refuse
from server.rpc.methods import Call


def guarded(access: Access, scope: Scope | None, call: Call) -> Any:
    """Return a call that is answered to whoever may make it, and whose errors leave as statuses."""

    async def answered(data: bytes, context: Any) -> bytes:
        try:
            if scope is not None:
                check(access, scope, context)
            return await call(data, context.time_remaining())
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            await refuse(context, error)

    return answered


def check(access: Access, scope: Scope, context: Any) -> None:
    """Let a call pass.

    No browser speaks gRPC, so there is no page of another origin to tell apart.
    Raises: Unauthorized, Forbidden.
    """
    given = None
    if access.tokens:
        given = next(
            (value for name, value in context.invocation_metadata() if name == "authorization"), None
        )
    access.check_token(scope, given if isinstance(given, str) else None)
