"""A training that begins with the weights of a published version instead of numbers by chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from models.features import FeatureView
from models.manifest import Manifest
from models.privacy import Privacy
from models.recipe import Recipe
from models.recipe_training import start_of
from models.store import ModelStore
from trainer.errors import BadStart
from trainer.exporting.weights import Weights, load_numbers, numbers, weights_of
from trainer.fitting.lineage import Lineage, lineage_of
from trainer.fitting.places import Moved, Renamed, differences
from trainer.networks.building import Blueprint
from trainer.networks.network import Network
from trainer.table import Table
from trainer.tasks.task import Task, Valued, task_of, values_of
from trainer.tasks.values import Unit

HEAD = "head"
MISFITS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Start:
    """A version's weights, the labels or values that its head was for, and the view that it reads."""

    name: str
    version: int
    labels: tuple[str, ...]
    weights: Weights
    view: FeatureView | None = None
    unit: Unit | None = None
    """In which its numbers were learned, where they are values."""
    spent: tuple[float, float] | None = None
    """Epsilon and delta of its training and of those before it, where that was private."""
    lineage: Lineage = field(default_factory=Lineage)
    """The version's manifest, and those of the versions that it began with."""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


async def read_start(store: ModelStore, reference: str) -> Start:
    """Read the version that a recipe names: `churn`, `churn:3` or `churn:canary`.

    Raises: ModelNotFound, VersionNotFound, AliasNotFound, RedisUnavailable, RedisRefused.
    """
    name, version = start_of(reference)
    bundle = await store.load(name, await store.resolve(name, version))
    manifest = bundle.manifest
    values = manifest.answer.values if manifest.answer else ()
    head = manifest.labels or values
    unit = unit_of(manifest)
    weights, spent = weights_of(bundle.onnx), spent_by(manifest)
    lineage = await lineage_of(store, manifest)
    return Start(name, manifest.version, head, weights, manifest.features, unit, spent, lineage)


def unit_of(manifest: Manifest) -> Unit | None:
    """Return the unit that a version's card says its values were learned in."""
    found = (manifest.card.get("training") or {}).get("unit")
    return None if found is None else Unit(tuple(found["mean"]), tuple(found["deviation"]))


def spent_by(manifest: Manifest) -> tuple[float, float] | None:
    """Return the epsilon and the delta that a version's card says were spent, None where it was not private."""
    found = (manifest.card.get("training") or {}).get("privacy")
    return None if found is None else (float(found["epsilon"]), float(found["delta"]))


def begin_with(network: Network, blueprint: Blueprint, start: Start, labels: tuple[str, ...]) -> list[str]:
    """Give a network the weights of a version, and tell what begins anew.

    A head for other labels or values begins anew; any other layer has to fit.

    Raises: BadStart, no weights there, or naming the layers that do not fit and both shapes.
    """
    there = {name: value for name, value in start.weights.items() if known(name)}
    if not there:
        raise BadStart(
            f"{start} has no weights to begin with: it was not trained here, is kept as int8, or is an ensemble",
            name=start.name,
            version=start.version,
        )
    here = numbers(network)
    other_head = labels != start.labels or bool(list(misfits(here, there, heads=True)))
    found = list(misfits(here, there, heads=False))
    if found:
        told = [f"{layer(name, blueprint)}: {name.rpartition('.')[2]} {text}" for name, text in found]
        raise BadStart(
            f"{start} does not fit this network: {listed(told)}; give the layers the same sizes, or leave "
            "training.from out",
            name=start.name,
            version=start.version,
        )
    load_numbers(
        network, {name: value for name, value in there.items() if not (other_head and is_head(name))}
    )
    return [f"the head begins anew, {start} has one for other labels"] if other_head else []


def check_places(start: Start, recipe: Recipe) -> list[str]:
    """Refuse inputs, fields or categories that moved, and tell which have other names.

    Raises: BadStart, naming what moved.
    """
    if start.view is None:
        return []
    privacy = Privacy.of(recipe.as_data())
    every = [*differences(start.view, recipe.features)]
    moved, renamed = ([one for one in every if isinstance(one, kind)] for kind in (Moved, Renamed))
    if moved:
        raise BadStart(
            f"{start} has weights for other places: {listed(moved)}; write them in the version's order, or leave "
            "training.from out",
            name=start.name,
            version=start.version,
        )
    return [privacy.text(f"other names than in {start}: {listed(renamed)}")] if renamed else []


def begun_task(recipe: Recipe, train: Table, start: Start | None) -> Task:
    """Return a recipe's task; where a version's head is kept, in the unit that its values were learned in."""
    task = task_of(recipe, train)
    unit = start.unit if start is not None else None
    if start is None or unit is None or not isinstance(task, Valued):
        return task
    head = start.weights.get(f"{HEAD}.weight")
    kept = start.labels == values_of(recipe) and head is not None and len(head) == task.outputs
    return replace(task, unit=unit) if kept and unit.columns == task.unit.columns else task


def listed(every: Sequence[object]) -> str:
    """Return the first of several in words, and how many more there are."""
    more = f"; and {len(every) - MISFITS_SHOWN} more" if len(every) > MISFITS_SHOWN else ""
    return "; ".join(map(str, every[:MISFITS_SHOWN])) + more


def misfits(here: Weights, there: Weights, *, heads: bool) -> Iterator[tuple[str, str]]:
    """Give the names that are not there, or not here, or of another shape, and what is the matter."""
    for name in sorted({*here, *there}, key=in_order):
        if is_head(name) is not heads:
            continue
        shapes = [str(tuple(part[name].shape)) if name in part else "absent" for part in (there, here)]
        if shapes[0] != shapes[1]:
            yield name, f"is {shapes[0]} there, {shapes[1]} here"


def in_order(name: str) -> list[tuple[int, str]]:
    """Return what sorts names by the numbers in them."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def known(name: str) -> bool:
    """Whether a name is one of a network's."""
    return name.partition(".")[0] in (HEAD, "branches", "then")


def is_head(name: str) -> bool:
    """Whether a name is one of the head's."""
    return name.partition(".")[0] == HEAD


def layer(name: str, blueprint: Blueprint) -> str:
    """Return the layer that a number belongs to as a recipe counts it: `layer 2 (linear)`."""
    part, *path = name.split(".")
    branch, layers = "then", blueprint.then
    if part == "branches":
        entry = blueprint.entries[min(int(path[0]), len(blueprint.entries) - 1)]
        branch = f"branch {entry.name}" if len(blueprint.entries) > 1 else ""
        layers, path = blueprint.branches[entry.name], path[1:]
    at = int(path[0])
    word = f" ({layers[at].layer})" if at < len(layers) else ""
    return f"{branch}, layer {at + 1}{word}".removeprefix(", ")


def freeze(network: Network, count: int) -> None:
    """Let the first layers of each branch keep their weights."""
    for _, steps in network.by_input():
        for step in steps[:count]:
            step.requires_grad_(False)


def frozen(network: nn.Module) -> list[nn.Module]:
    """Return the parts that learn nothing, whose statistics stay as they are too."""
    return [
        part
        for part in network.modules()
        if any(True for _ in part.parameters()) and not any(one.requires_grad for one in part.parameters())
    ]
