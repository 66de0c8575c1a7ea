"""The rows that a challenger was judged on, read once more as a champion's feature view wants them.

Rows in files, and ends taken off series, lie under no key that a champion could be asked by: the
recipe's rows are read through the champion's view, and each is found again by its key and its truth.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.errors import InsituError
from models.features import FeatureView
from models.privacy import Privacy
from models.recipe import Recipe
from models.recipe_data import FollowingTarget, RedisRows
from models.sources import SequenceSource
from models.store import ModelStore
from models.tensors import Tensor
from trainer.contest.champion import Answers, own_view
from trainer.datasets.from_redis import read_table
from trainer.errors import Incomparable
from trainer.events import Stage, silent
from trainer.exporting.export import Input, Signature, answers
from trainer.judging.questions import Answered
from trainer.reading.table import read_columns
from trainer.table import Indices, Table

Identity = tuple[str, bytes]
ANY_SHARE = 1.0  # of the rows may be unusable to the champion: the others are compared


def lies_at_keys(recipe: Recipe) -> bool:
    """Whether each row of a recipe is all of what lies at its key, so that a champion is asked by it."""
    return isinstance(recipe.data, RedisRows) and not isinstance(recipe.data.target, FollowingTarget)


async def ask_rows(
    store: ModelStore, recipe: Recipe, folder: Path | None, bundle: Bundle, given: Answered
) -> Answers:
    """Return what a champion says of rows with these keys and truths, read by its own feature view.

    Raises: Incomparable, its view finds none of them in the recipe's rows, or its graph does not take them.
    """
    view = own_view(bundle)
    check_series(recipe, view)
    try:
        table = await read_as(store, recipe, view, folder)
        rows, places = found_again(table, given)
        found = answers(bundle.onnx, signature_of(bundle, view), table.take(rows)) if len(rows) else None
    except InsituError as error:
        told = Privacy.of(bundle.manifest.recipe).text(str(error))
        raise Incomparable(
            f"the champion can read none of these rows by its own feature view: {told}"
        ) from error
    if found is None:
        raise Incomparable("the rows that were held out are not found again: they change when they are read")
    return Answers(places, found)


async def read_as(store: ModelStore, recipe: Recipe, view: FeatureView, folder: Path | None) -> Table:
    """Read the rows of a recipe through another view; rows that it cannot use are left out.

    Their keys stay the recipe's own: `rows` of a recipe is made with it, and copied.
    """
    data = recipe.data.model_copy(update={"max_bad_share": ANY_SHARE})
    other = recipe.model_copy(update={"data": data, "features": view})
    stage = Stage("read", silent)
    if isinstance(data, RedisRows):
        return await read_table(store.redis, other, stage)
    return read_columns(other, data, folder, stage)


def check_series(recipe: Recipe, view: FeatureView) -> None:
    """Refuse a view without the one list or stream whose end is forecast.

    Raises: Incomparable.
    """
    found = [source for one in view.inputs for source in one.sources if isinstance(source, SequenceSource)]
    if isinstance(recipe.data.target, FollowingTarget) and len(found) != 1:
        raise Incomparable(
            f"the champion reads {len(found)} lists or streams, so it cannot be shown the start of one"
        )


def found_again(table: Table, given: Answered) -> tuple[Indices, Indices]:
    """Return rows of a table, and their places among answers: of one key the rows with the same truth.

    Those are taken in their order, the first of a key are held out first; none where some are not there.
    """
    there: dict[Identity, list[int]] = {}
    for row, (key, truth) in enumerate(zip(table.keys, table.targets, strict=True)):
        there.setdefault(identity(key, truth), []).append(row)
    names = [identity(key, truth) for key, truth in zip(given.keys, given.truth, strict=True)]
    wanted = Counter(names)
    alike = {name: iter(there[name]) for name, count in wanted.items() if len(there.get(name, ())) >= count}
    pairs = [(next(alike[name]), place) for place, name in enumerate(names) if name in alike]
    rows, places = np.array(pairs, np.int64).reshape(-1, 2).T
    return rows, places


def identity(key: str, truth: Tensor) -> Identity:
    """Return what tells a row from most others: windows of one series have one key."""
    return key, np.asarray(truth, np.float64).tobytes()


def signature_of(bundle: Bundle, view: FeatureView) -> Signature:
    """Return the names of a champion's graph."""
    inputs = tuple(Input(one.name, one.dtype or "float32", one.lengths) for one in view.inputs)
    return Signature(inputs, str(bundle.manifest.output))
