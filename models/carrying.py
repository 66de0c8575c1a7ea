"""What of the version before holds for a new one of the same model, where its publisher does not say it."""

from dataclasses import dataclass, replace

from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.errors import BadFeatureView, BadModelFile, BundleCorrupt, ManifestUnreadable, ModelNotFound
from models.graph import MODEL_LIMIT_BYTES
from models.manifest import Manifest
from models.store import ModelStore

VIEW, LABELS = "reads features", "words its answers"


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The version before, and how its publisher says that a new one shall have another view, or other labels.

    `viewless`: the new version shall read no keys.
    """

    manifest: Manifest
    other_view: str
    other_labels: str
    viewless: bool = False


@dataclass(frozen=True, slots=True)
class Carried:
    """The wording of a new version, and what of it is that of the version before, for a person."""

    wording: Wording
    told: tuple[str, ...] = ()


async def version_before(store: ModelStore, name: str, alias: str | None) -> Manifest | None:
    """Return the version that the alias points to, else the newest one; None where there is none that can be read.

    Raises: BadName, RedisUnavailable.
    """
    try:
        pointers, versions = await store.pointers(name), await store.versions(name)
        return await store.manifest(name, pointers.aliases.get(alias or "", max(versions)))
    except (ModelNotFound, BundleCorrupt, ManifestUnreadable):
        return None


def composed_as_before(
    onnx: bytes, said: Wording, before: Predecessor, limit_bytes: int = MODEL_LIMIT_BYTES
) -> tuple[Bundle, str]:
    """Return the bundle of a new version, and what of it is as before, empty where nothing is.

    Raises: as compose_bundle; BadModelFile, BadFeatureView, what is as before does not fit the file: with what
        to say then.
    """
    taken, name = carried(said, before), before.manifest.name
    try:
        return compose_bundle(onnx, name, taken.wording, limit_bytes), " and ".join(taken.told)
    except (BadModelFile, BadFeatureView) as error:
        if taken.told:
            compose_bundle(onnx, name, said, limit_bytes)  # a fault of the file itself has another cure
        raise type(error)(f"{error}{cure(taken, before)}", **error.details) from error


def carried(said: Wording, before: Predecessor) -> Carried:
    """Return a wording with the view and the labels of the version before, where it says none."""
    told, known = [], before.manifest
    if said.features is None and known.features is not None and not before.viewless:
        said = replace(said, features=known.features)
        told.append(VIEW)
    if not said.labels and known.labels and said.task in (None, known.task):
        said = replace(said, labels=known.labels, task=known.task, output=said.output or known.output)
        told.append(LABELS)
    return Carried(said, tuple(told))


def cure(taken: Carried, before: Predecessor) -> str:
    """Return what to say where a new version cannot be as the one before."""
    if not taken.told:
        return ""
    saying = {VIEW: before.other_view, LABELS: before.other_labels}
    told, words = " and ".join(taken.told), " and ".join(saying[one] for one in taken.told)
    return f"; unless it is said, a new version {told} as version {before.manifest.version}: add {words}"
