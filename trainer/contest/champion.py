"""The model that an alias points to, asked the rows that a new one was judged on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.answers import AnswerSpec
from models.assembly import Plan
from models.bundle import Bundle
from models.errors import AliasNotFound, ModelNotFound, listed
from models.features import FeatureView
from models.manifest import Manifest
from models.privacy import Privacy
from models.redis_failures import redis_errors
from models.sources import InlineSource
from models.store import ModelStore
from models.tensors import Tensor
from trainer.datasets.exchanges import exchange, features
from trainer.datasets.from_redis import ROWS_A_TRIP, without_age_limit
from trainer.errors import Incomparable
from trainer.exporting.export import rows_a_run, session
from trainer.table import Indices

MULTIPLE = 2


@dataclass(frozen=True, slots=True)
class Answers:
    """What a champion says of some rows: which of them it could answer, by their places, and its output for each."""

    rows: Indices
    output: Tensor


async def champion_of(store: ModelStore, name: str, alias: str) -> Bundle | None:
    """Return the version that an alias points to, None when there is none.

    Raises: BundleCorrupt, ManifestUnreadable, RedisUnavailable, RedisRefused.
    """
    try:
        return await store.load(name, await store.resolve(name, alias))
    except (ModelNotFound, AliasNotFound):
        return None


async def ask_champion(store: ModelStore, bundle: Bundle, keys: Sequence[str]) -> Answers:
    """Return what a champion says of rows, read by its own feature view and run in ONNX Runtime.

    Raises: Incomparable, it cannot be asked by these keys; ExportFailed; RedisUnavailable.
    """
    view = view_of(bundle)
    plan = Plan(without_age_limit(view))
    runtime, size = session(bundle.onnx), rows_a_run(bundle.onnx)
    answered: list[int] = []
    outputs: list[Tensor] = []
    privacy, reason = Privacy.of(bundle.manifest.recipe), ""
    for start in range(0, len(keys), ROWS_A_TRIP):
        part = keys[start : start + ROWS_A_TRIP]
        prepared = plan.prepare_keys(part)
        async with redis_errors():
            replies = await exchange(store.redis, features(prepared))
        assembled = plan.assemble(prepared, replies)
        reason = next((privacy.text(str(error)) for error in assembled.errors.values()), reason)
        for group in assembled.groups:
            answered.extend(start + row for row in group.rows)
            outputs += [
                runtime.run(
                    [bundle.manifest.output], {name: of[at : at + size] for name, of in group.feeds.items()}
                )[0]
                for at in range(0, len(group.rows), size)
            ]
    if not outputs:
        raise Incomparable(f"the champion can read none of these rows by its own feature view: {reason}")
    return Answers(np.array(answered, np.int64), np.concatenate(outputs))


def view_of(bundle: Bundle) -> FeatureView:
    """Return the feature view that a champion is asked by keys with.

    Raises: Incomparable.
    """
    view = own_view(bundle)
    if any(isinstance(source, InlineSource) for one in view.inputs for source in one.sources):
        raise Incomparable("the champion reads values that only a request carries")
    return view


def own_view(bundle: Bundle) -> FeatureView:
    """Return the feature view of a champion.

    Raises: Incomparable.
    """
    view = bundle.manifest.features
    if view is None or bundle.manifest.output is None:
        raise Incomparable("the champion has no feature view, so it cannot be asked by keys")
    return view


def in_order_of(labels: Sequence[str], bundle: Bundle, output: Tensor) -> NDArray[Any]:
    """Return probabilities of a champion in the order of the challenger's labels: (N, C).

    Raises: Incomparable, other labels, or a graph that gives no probabilities.
    """
    own = bundle.manifest.labels
    if set(own) != set(labels):
        raise Incomparable(f"the champion knows other labels: {', '.join(own)}")
    if output.dtype.kind != "f":
        raise Incomparable("the champion gives labels without probabilities")
    rows = output.reshape(len(output), -1)
    if rows.shape[1] == 1 and len(own) == MULTIPLE:
        rows = np.concatenate([1 - rows, rows], axis=1)
    if rows.shape[1] != len(own):
        raise Incomparable(f"the champion gives {rows.shape[1]} numbers a row for {len(own)} labels")
    return rows[:, [own.index(label) for label in labels]]


def check_numbers(champion: Manifest, challenger: Manifest) -> None:
    """Refuse answers whose numbers, in their order, are other things than a challenger's.

    Raises: Incomparable.
    """
    theirs, ours = champion.answer or AnswerSpec(), challenger.answer or AnswerSpec()
    for word, one, other in (
        ("values", named(theirs), named(ours)),
        ("quantiles", theirs.quantiles, ours.quantiles),
        ("numbers of an entry", forecast_channels(champion), forecast_channels(challenger)),
    ):
        if one != other:
            raise Incomparable(f"the champion answers {listed(one)} as its {word}, this one {listed(other)}")


def named(answer: AnswerSpec) -> tuple[str, ...]:
    """Return the names of several values; a single one is the value, whatever it is called."""
    return answer.values if len(answer.values) > 1 else ()


def forecast_channels(manifest: Manifest) -> tuple[int, ...]:
    """Return which numbers of an entry a model forecasts, none where that is all of them or is not said."""
    target = ((manifest.recipe or {}).get("data") or {}).get("target") or {}
    return tuple(target.get("channels") or ())


def of_shape(output: Tensor, wanted: Tensor) -> Tensor:
    """Return a champion's numbers, which are as many a row as a challenger's.

    Raises: Incomparable.
    """
    shapes = [[size for size in one.shape[1:] if size > 1] for one in (output, wanted)]
    if shapes[0] != shapes[1]:
        theirs, ours = (" x ".join(map(str, shape)) or "1" for shape in shapes)
        raise Incomparable(f"the champion answers {theirs} numbers a row, this one {ours}")
    return output
