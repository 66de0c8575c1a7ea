"""HEAD: what GET would answer, without its body; pure ASGI, knows no route's meaning."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Bodiless:
    """Asks the routes of GET for what HEAD asks, and passes no part of a body on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a body without end, such as a stream of events, is over at its first part."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        over = False

        async def head(message: Message) -> None:
            nonlocal over
            if message["type"] == "http.response.start":
                await send(message)
            elif not over:
                over = True
                await send({"type": "http.response.body", "body": b""})

        await self.app({**scope, "method": "GET"}, receive, head)
