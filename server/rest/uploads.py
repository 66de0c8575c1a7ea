"""What an upload says: an ONNX file and words about it, as a form or as raw bytes with a query."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from io import BytesIO
from typing import cast, get_args

import orjson
from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from models.composing import Wording
from models.errors import shown
from models.features import VIEW_LIMIT_BYTES, FeatureView
from models.keys import check_alias
from models.manifest import Task
from models.store import PRODUCTION
from server.rest.refusals import MediaTypeRefused, ParameterRefused
from server.rest.wire import check_plain

FORM = "multipart/form-data"
RAW = "application/octet-stream"
FIELDS = ("model", "features", "labels", "task", "output", "description", "alias")
NONE = "none"  # in place of a feature view
TEXT_LIMIT = 65_536  # characters of a text field


@dataclass(frozen=True, slots=True)
class Upload:
    """A model file and what was said of it; `viewless` that it reads no keys."""

    onnx: bytes
    wording: Wording
    alias: str | None
    viewless: bool = False


async def read_upload(request: Request) -> Upload:
    """Return what a request uploads, as a form or as the file itself.

    Raises: MediaTypeRefused, ParameterRefused, BadFeatureView, BadName.
    """
    check_plain(request.headers)
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind == RAW:
        said = texts(request.query_params.multi_items(), FIELDS[1:])
        wording, alias = worded(said), the_alias(said)
        return Upload(await received(request), wording, alias, is_viewless(said))
    if kind != FORM:
        raise MediaTypeRefused(
            given or "nothing",
            f"{FORM} or {RAW}",
            "with curl: -F model=@model.onnx, or --data-binary @model.onnx",
        )
    return await read_form(request)


async def received(request: Request) -> bytes:
    """Return a file that is a whole body; parts that were kept until the last came, and joined, would be it twice.

    Raises: BodyTooLarge and BodyTooSlow from below.
    """
    file = BytesIO()  # it hands out what it holds without copying it
    async for part in request.stream():
        file.write(part)
    return file.getvalue()


async def read_form(request: Request) -> Upload:
    """Return what a form uploads.

    Raises: ParameterRefused, BadFeatureView, BadName.
    """
    if request.query_params:
        raise ParameterRefused("a form takes no query parameters beside it; add them as fields of the form")
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=2, max_fields=len(FIELDS), max_part_size=VIEW_LIMIT_BYTES
    )
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, KeyError) as error:
        raise ParameterRefused(f"the form cannot be read: {shown(error)}") from error
    try:
        return await of_form(form)
    finally:
        await form.close()


async def of_form(form: FormData) -> Upload:
    """Return what the parts of a form say."""
    parts = [(name, await content(name, value)) for name, value in form.multi_items() if name != "model"]
    said = texts(parts, FIELDS)
    model = form.getlist("model")
    if len(model) != 1 or not isinstance(model[0], UploadFile):
        raise ParameterRefused(
            f"the form has {len(model)} parts `model`, or a text in its place; send one file: -F model=@model.onnx",
            field="model",
        )
    wording, alias = worded(said), the_alias(said)
    return Upload(await model[0].read(), wording, alias, is_viewless(said))


async def content(name: str, value: UploadFile | str) -> str:
    """Return the text of a part, whether it was sent as a text or as a file."""
    if isinstance(value, str):
        return value
    data = await value.read(VIEW_LIMIT_BYTES + 1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ParameterRefused(
            f"{shown(name)} is no text in UTF-8: {error.reason}", field=shown(name)
        ) from error


def texts(given: list[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    """Return what was said beside the file.

    Raises: ParameterRefused, a field that is unknown, given twice or too long.
    """
    said: dict[str, str] = {}
    for name, value in given:
        if name not in known:
            near = get_close_matches(name[:32], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ParameterRefused(f"field {shown(name)!r} is not known; {hint}", field=shown(name))
        if name in said:
            raise ParameterRefused(f"field {name!r} is given twice; give it once", field=name)
        if name != "features" and len(value) > TEXT_LIMIT:
            raise ParameterRefused(
                f"field {name!r} has {len(value)} characters, over {TEXT_LIMIT}", field=name
            )
        said[name] = value
    return said


def worded(said: Mapping[str, str]) -> Wording:
    """Return how the model is described and its answers are worded.

    Raises: ParameterRefused, BadFeatureView.
    """
    features = said.get("features")
    return Wording(
        features=FeatureView.parse(features) if features and not is_viewless(said) else None,
        labels=the_labels(said.get("labels", "")),
        task=the_task(said.get("task") or None),
        output=said.get("output") or None,
        description=said.get("description", ""),
    )


def is_viewless(said: Mapping[str, str]) -> bool:
    """Whether the new version shall read no keys."""
    return said.get("features", "").strip() == NONE


def the_labels(text: str) -> list[str]:
    """Return labels given as `a,b` or, where a label has a comma in it, as a JSON list.

    Raises: ParameterRefused.
    """
    if not text.lstrip().startswith("["):
        return [label.strip() for label in text.split(",")] if text.strip() else []
    try:
        labels = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ParameterRefused(f"labels is no JSON list: {error.msg}; send a,b", field="labels") from error
    if not all(isinstance(label, str) for label in labels):
        raise ParameterRefused("labels holds something that is no text; send a,b", field="labels")
    return cast(list[str], labels)


def the_task(text: str | None) -> Task | None:
    """Return the task.

    Raises: ParameterRefused.
    """
    if text is not None and text not in get_args(Task):
        raise ParameterRefused(
            f"task is {shown(text)!r}; it is one of {', '.join(get_args(Task))}", field="task"
        )
    return cast(Task | None, text)


def the_alias(said: Mapping[str, str]) -> str | None:
    """Return the alias to point to the new version; None when it was left empty.

    Raises: BadName.
    """
    alias = said.get("alias", PRODUCTION)
    return check_alias(alias) if alias else None
