"""What a browser is shown: the console and the documentation, from files; nothing comes from elsewhere."""

import asyncio
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse

from server.rest.refusals import PathNotFound
from server.rest.wire import Json

CONSOLE = Path(__file__).parent / "console"
SWAGGER = Path(str(files("fastapi_swagger") / "resources"))
SWAGGER_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, answered 304 while the file is the same
}
OURS_ONLY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI sets style attributes and draws its icons from data: URLs.
WITH_STYLES = OURS_ONLY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self'", "img-src 'self' data:"
)


def create_router(describe: Callable[[], dict[str, Any]]) -> APIRouter:
    """Return the routes of pages; they hold no data, so they are open."""
    router = APIRouter(include_in_schema=False)
    ours = {path.name: path for path in CONSOLE.iterdir() if path.suffix in KINDS}
    swagger = {name: SWAGGER / name for name in SWAGGER_FILES}

    @router.get("/")
    async def console(request: Request) -> Response:
        """Show the console."""
        return page(request, CONSOLE / "index.html", OURS_ONLY)

    @router.get("/console/{name}")
    async def console_file(request: Request, name: str) -> Response:
        """Return one file of the console."""
        return page(request, chosen(ours, request, name), OURS_ONLY)

    @router.get("/openapi.json")
    async def openapi() -> Json:
        """Return the description of the API; making it takes a good part of a second, once."""
        return Json(await asyncio.to_thread(describe))

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        """Show the API, to read and to try."""
        return page(request, CONSOLE / "docs.html", WITH_STYLES)

    @router.get("/docs/{name}")
    async def docs_file(request: Request, name: str) -> Response:
        """Return one file of Swagger UI."""
        return page(request, chosen(swagger, request, name), WITH_STYLES)

    return router


def chosen(files_there: dict[str, Path], request: Request, name: str) -> Path:
    """Return a file by its name: looked up, never made into a path.

    Raises: PathNotFound.
    """
    if name not in files_there:
        raise PathNotFound(request.url.path, [])
    return files_there[name]


def page(request: Request, path: Path, policy: str) -> Response:
    """Return a file with the headers that bind a browser to it."""
    headers = {**SAFE, "Content-Security-Policy": policy}
    response = FileResponse(path, headers=headers, media_type=KINDS[path.suffix], stat_result=path.stat())
    if request.headers.get("if-none-match") == response.headers["etag"]:
        return NotModifiedResponse(response.headers)
    return response
