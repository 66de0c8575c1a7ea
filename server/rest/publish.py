"""POST /v1/models/{name}/versions: any ONNX file, tried in a process of its own, then published."""

from typing import Any, get_args

from fastapi import APIRouter, Request

from models import errors as domain
from models.keys import check_name
from models.manifest import Task
from models.signing_errors import UnsignedUpload
from models.store import PRODUCTION
from server.access import Access
from server.inference import errors as core
from server.inference.engine import Engine
from server.rest import refusals
from server.rest.describing import version_detail
from server.rest.documenting import failures, parameter
from server.rest.guarding import needs
from server.rest.parameters import ModelName
from server.rest.schemas import VersionDetail
from server.rest.uploads import FORM, RAW, read_upload
from server.rest.wire import Json

PATH = "/v1/models/{name}/versions"

TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "features": (
        {"type": "string"},
        "Feature view, YAML or JSON; that of the version before if not given, `none` for tensors only.",
    ),
    "labels": (
        {"type": "string", "example": "stays,leaves"},
        "Labels in the order of the columns: a,b or a JSON list; those of the version before if not given.",
    ),
    "task": (
        {"type": "string", "enum": list(get_args(Task))},
        "How answers are worded; found where only one fits.",
    ),
    "output": ({"type": "string"}, "The output that holds the answer; found where only one fits."),
    "description": ({"type": "string"}, "One line for people."),
    "alias": ({"type": "string", "default": PRODUCTION}, "The alias to point to it; empty moves none."),
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["model"],
                    "properties": {
                        "model": {"type": "string", "format": "binary", "description": "The ONNX file."},
                        **{name: {**schema, "description": text} for name, (schema, text) in TEXTS.items()},
                    },
                },
                "encoding": {"model": {"contentType": RAW}, "features": {"contentType": "text/plain"}},
            },
            RAW: {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        parameter(name, schema, f"{text} Only beside a raw body.") for name, (schema, text) in TEXTS.items()
    ],
}


def create_router(engine: Engine, access: Access) -> APIRouter:
    """Return the upload route."""
    router = APIRouter(tags=["models"], dependencies=[needs(access, "admin")])

    @router.post(
        PATH,
        summary="Publish a version",
        status_code=201,
        response_model=VersionDetail,
        openapi_extra=BODY,
        responses=failures(
            refusals.BodyTooLarge,
            refusals.MediaTypeRefused,
            refusals.ParameterRefused,
            domain.BadName,
            domain.BadModelFile,
            domain.BadFeatureView,
            domain.ModelTooLarge,
            UnsignedUpload,
            core.Overloaded,
            domain.RedisRefused,
            domain.RedisUnavailable,
        ),
    )
    async def publish(request: Request, name: ModelName) -> Json:
        """Publish an ONNX file as the next version: a form, or the file itself with query parameters.

        It is inspected, and loaded and run once in a separate process, before anything is stored.
        """
        check_name(name)
        async with engine.publisher.turn(name):
            upload = await read_upload(request)
            version = await engine.publisher.follow(
                name, upload.onnx, upload.wording, upload.alias, viewless=upload.viewless
            )
        facts = await version_detail(engine, name, version)
        return Json(facts, 201, {"Location": f"/v1/models/{name}/versions/{version}"})

    return router
