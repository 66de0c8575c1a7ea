"""Every route of the Open Inference Protocol, in the order in which OpenAPI shows them."""

from fastapi import APIRouter

from server.access import Access
from server.inference.engine import Engine
from server.rest.v2 import health, infer, models, repository, settings, shared_memory


def create_routers(engine: Engine, access: Access) -> tuple[APIRouter, ...]:
    """Return the routes."""
    return (
        infer.create_router(engine, access),
        models.create_router(engine, access),
        repository.create_index(engine, access),
        repository.create_writers(engine, access),
        health.create_router(engine),
        settings.create_readers(engine, access),
        settings.create_writers(engine, access),
        shared_memory.create_router(access),
    )
