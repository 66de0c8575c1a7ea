"""publish: any ONNX file, or what `train` wrote to a folder, becomes a stored model, checked and tried before."""

import asyncio
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.errors import WrongUsage
from cli.made import MANIFEST, PATH_CHARACTERS, read, read_file
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, Prefix, RedisUrl, SignWith
from cli.settings import Settings, read_settings
from cli.terminal import Terminal, size_text
from models.errors import BadModelFile, shown
from models.keys import check_name

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.features import FeatureView
    from models.manifest import Manifest

NONE = "none"
NOT_TRIED = (
    "warning: ONNX Runtime is not installed, so the model was checked but not run; "
    "pip install 'insitu[server]' tries it first"
)

Task = Literal["classification", "multilabel", "regression", "forecasting", "anomaly", "tensor"]


@dataclass(frozen=True, slots=True)
class Said:
    """What the command line says of a model, None where it says nothing."""

    name: str | None
    features: Path | None
    labels: str | None
    task: Task | None
    output: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """What was stored, and whether ONNX Runtime had run it before."""

    manifest: "Manifest"
    alias: str | None
    tried: bool
    as_before: str = ""
    """What it has of the version before, for a person."""
    signed_by: str | None = None
    """The fingerprint of the key that has signed it."""


def publish(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="ONNX file, weights inside; or the folder that `insitu train` wrote a model to.",
            show_default=False,
        ),
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", metavar="NAME", help="Name of the model; a folder says its own."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="YAML",
            help="Feature view: which Redis keys are the inputs; by default that of the version before. none for none.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="A,B,...",
            help="Labels, in the order of the output's columns; by default as before.",
        ),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option("--task", help="How answers are worded; found from the labels when not given."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="NAME", help="Output with the answer, where several would do."),
    ] = None,
    alias: Annotated[
        str, typer.Option("--alias", metavar="ALIAS", help="Alias that shall point to it; none for no alias.")
    ] = "production",
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="One line about the model.")
    ] = None,
    sign_with: SignWith = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Check an ONNX file, try it once, and store it as the next version of a model."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix, sign_with=sign_with)
    terminal = Terminal(as_json=as_json)
    said = Said(name, features, labels, task, output, description)
    pointed = None if alias == NONE else alias
    bundle, as_before = (
        (trained(file, said), "") if file.is_dir() else composed(file, said, settings, pointed)
    )
    show(
        terminal, replace(asyncio.run(store_bundle(terminal, settings, bundle, pointed)), as_before=as_before)
    )


def trained(folder: Path, said: Said) -> "Bundle":
    """Return the model that a training wrote to a folder; its manifest says everything.

    Raises: WrongUsage, BadModelFile.
    """
    if not (folder / MANIFEST).exists():
        place = shown(str(folder / MANIFEST), PATH_CHARACTERS)
        raise WrongUsage(
            f"{place} cannot be read: No such file or directory; a folder is one that `insitu train` wrote, "
            "of another give the ONNX file: insitu publish FOLDER/1/model.onnx --name NAME"
        )
    needless = [f"--{option.name}" for option in fields(said) if getattr(said, option.name) is not None]
    if needless:
        raise WrongUsage(
            f"{needless[0]} is for an ONNX file; {MANIFEST} in {shown(str(folder))} says it, so leave it out"
        )
    return read(folder)


def composed(file: Path, said: Said, settings: Settings, alias: str | None) -> "tuple[Bundle, str]":
    """Return the bundle of an ONNX file, and what it has of the version before since nothing else is said.

    Raises: WrongUsage, BadName, BadModelFile, BadFeatureView, RedisUnreachable, RedisUnavailable; NotVouched, it would
            be signed, and what it has of the version before is not.
    """
    from cli.carrying import check_vouched, composed_as_before, version_before
    from models.composing import Wording, compose_bundle
    from models.graph import inspect_graph

    if said.name is None:
        raise WrongUsage("name the model that the file is a version of: --name NAME")
    viewless = said.features == Path(NONE)
    wording = Wording(
        None if viewless else view_in(said.features),
        split_labels(said.labels),
        said.task,
        said.output,
        said.description or "",
    )
    onnx, name = read_file(file), check_name(said.name)
    try:
        inspect_graph(onnx)  # a fault of the file is told without Redis too
        before = asyncio.run(version_before(settings, name, alias))
        if before is None:
            return compose_bundle(onnx, name, wording), ""
        bundle, told = composed_as_before(onnx, wording, before, viewless=viewless)
    except BadModelFile as error:
        raise BadModelFile(f"{shown(str(file))}: {error}", **error.details) from error
    if told and settings.sign_with is not None:
        asyncio.run(check_vouched(settings, before, told))
    return bundle, f"{told} as version {before.version} does" if told else ""


def view_in(path: Path | None) -> "FeatureView | None":
    """Return the feature view in a file.

    Raises: WrongUsage, BadFeatureView.
    """
    from models.features import FeatureView

    return None if path is None else FeatureView.parse(read_file(path), path.name)


def split_labels(text: str | None) -> tuple[str, ...]:
    """Return labels given as one text."""
    return tuple(label.strip() for label in text.split(",") if label.strip()) if text else ()


async def store_bundle(
    terminal: Terminal, settings: Settings, bundle: "Bundle", alias: str | None
) -> Published:
    """Try a bundle in a process of its own, then publish it.

    Raises: BadModelFile, BadName, RedisUnreachable, RedisUnavailable.
    """
    from cli.connection import opened
    from cli.trial import tried

    async with opened(settings, signs=True) as store:
        ran = await tried(bundle)
        if not ran:
            terminal.note(NOT_TRIED, "warn")
        key = store.signing.key
        by = None if key is None else key.public.fingerprint
        return Published(await store.publish(bundle, alias), alias, ran, signed_by=by)


def show(terminal: Terminal, told: Published) -> None:
    """Tell what was stored and how to use it."""
    from cli.listing import features_text, tensor_text

    manifest = told.manifest
    if terminal.as_json:
        facts: dict[str, object] = {
            "model": manifest.name,
            "version": manifest.version,
            "alias": told.alias,
            "tried": told.tried,
        }
        facts |= {"digest": manifest.digest, "size_bytes": manifest.size_bytes}
        terminal.emit(facts | ({"signed_by": told.signed_by} if told.signed_by else {}))
        return
    if told.as_before:
        terminal.note(f"{manifest.name} version {manifest.version} {told.as_before}", "quiet")
    pointed = f", {told.alias} points to it" if told.alias else ""
    terminal.say(f"{manifest.name} version {manifest.version} is published{pointed}")
    terminal.fields(
        [
            ("inputs", ", ".join(map(tensor_text, manifest.inputs))),
            ("outputs", ", ".join(map(tensor_text, manifest.outputs))),
            ("reads", features_text(manifest.features)),
            ("answers", manifest.task + (f": {', '.join(manifest.labels)}" if manifest.labels else "")),
            ("size", size_text(manifest.size_bytes)),
            ("signed by", told.signed_by),
        ]
    )


COMMANDS = (
    Command(
        MODELS,
        publish,
        (
            "insitu publish model.onnx --name churn",
            "insitu publish model.onnx --name churn --features view.yaml --labels stays,leaves",
            "insitu publish model.onnx --name churn --alias none --json",
            "insitu publish ./made",
            "insitu publish model.onnx --name churn --sign-with release.key",
        ),
        "0 stored; 1 the file or the view is refused",
    ),
)
