"""The short road of a plain prediction: answered before FastAPI's routing and dependencies; pure ASGI.

The routes in `predict.py` describe the same requests, and answer whatever is not plain, through
the same functions: one behaviour, two roads.
"""

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import InsituError
from server.access import Access
from server.inference.engine import Engine
from server.rest import errors, predict
from server.rest.heads import ROUTE

PLAIN = re.compile(ROUTE)


class DirectPredictions:
    """Answers POST .../predict of a plain model name and version; everything else is passed on."""

    def __init__(self, app: ASGIApp, engine: Engine, access: Access) -> None:
        self.app = app
        self.engine = engine
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        posted = scope["type"] == "http" and scope["method"] == "POST"
        found = PLAIN.fullmatch(scope["path"]) if posted else None
        if found is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self.access.check("predict", "POST", request.headers)
            response = await predict.predicted(self.engine, request, found["name"], found["version"])
        except InsituError as error:
            response = errors.answer(error)
        await response(scope, receive, send)
