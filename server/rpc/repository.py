"""Calls of the model repository: what there is, load and unload."""

from typing import Any

from models.errors import BadRequest
from server.inference.engine import Engine
from server.open_inference.repository import index, load, unload
from server.rpc.messages import message
from server.rpc.methods import Methods
from server.rpc.requests import parameters_of


def repository_methods(engine: Engine) -> Methods:
    """Return the calls by name."""

    async def listing(request: Any) -> Any:
        return message("RepositoryIndexResponse")(models=await index(engine, request.ready))

    async def loading(request: Any) -> Any:
        await load(engine, named(request), parameters_of(request.parameters))
        return message("RepositoryModelLoadResponse")()

    async def unloading(request: Any) -> Any:
        await unload(engine, named(request))
        return message("RepositoryModelUnloadResponse")()

    return {
        "RepositoryIndex": ("predict", listing),
        "RepositoryModelLoad": ("admin", loading),
        "RepositoryModelUnload": ("admin", unloading),
    }


def named(request: Any) -> str:
    """Return the model that a load or unload is about; KServe's messages have it where Triton's name a repository.

    Raises: BadRequest, there is none.
    """
    name: str = request.model_name or request.repository_name
    if not name:
        raise BadRequest("the request names no model; send model_name", field="model_name")
    return name
