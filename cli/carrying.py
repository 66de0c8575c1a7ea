"""What of the version before holds for a new one of the same model, where the command line does not say it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cli.connection import opened
from cli.settings import Settings
from models.errors import BadFeatureView, BadModelFile, BundleCorrupt, ManifestUnreadable, ModelNotFound

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.composing import Wording
    from models.manifest import Manifest

VIEW, LABELS = "reads features", "words its answers"
SAYING = {
    VIEW: "--features VIEW.yaml, or --features none to read no keys",
    LABELS: "--labels A,B,..., or --task tensor to word none",
}


@dataclass(frozen=True, slots=True)
class Carried:
    """The wording of a new version, and what of it is that of the version before, for a person."""

    wording: "Wording"
    told: tuple[str, ...] = ()


async def version_before(settings: Settings, name: str, alias: str | None) -> "Manifest | None":
    """Return the version that the alias points to, else the newest one; None where there is none that can be read.

    Raises: BadName, RedisUnreachable, RedisUnavailable.
    """
    async with opened(settings) as store:
        try:
            pointers, versions = await store.pointers(name), await store.versions(name)
            return await store.manifest(name, pointers.aliases.get(alias or "", max(versions)))
        except (ModelNotFound, BundleCorrupt, ManifestUnreadable):
            return None


def carried(said: "Wording", before: "Manifest", *, viewless: bool) -> Carried:
    """Return a wording with the view and the labels of the version before, where it says none.

    `viewless`: the new version shall read no keys.
    """
    told = []
    if said.features is None and before.features is not None and not viewless:
        said = replace(said, features=before.features)
        told.append(VIEW)
    if not said.labels and before.labels and said.task in (None, before.task):
        said = replace(said, labels=before.labels, task=before.task, output=said.output or before.output)
        told.append(LABELS)
    return Carried(said, tuple(told))


def composed_as_before(
    onnx: bytes, said: "Wording", before: "Manifest", *, viewless: bool
) -> "tuple[Bundle, str]":
    """Return the bundle of a new version, and what of it is as before, empty where nothing is.

    Raises: BadModelFile, BadFeatureView, what is as before does not fit the file: with what to say then.
    """
    from models.composing import compose_bundle

    taken = carried(said, before, viewless=viewless)
    try:
        return compose_bundle(onnx, before.name, taken.wording), " and ".join(taken.told)
    except (BadModelFile, BadFeatureView) as error:
        if taken.told:
            compose_bundle(onnx, before.name, said)  # a fault of the file itself has another cure
        raise type(error)(f"{error}{cure(taken, before)}", **error.details) from error


def cure(taken: Carried, before: "Manifest") -> str:
    """Return what to say where a new version cannot be as the one before."""
    if not taken.told:
        return ""
    words = " and ".join(SAYING[one] for one in taken.told)
    return f"; unless it is said, a new version {' and '.join(taken.told)} as version {before.version}: add {words}"
