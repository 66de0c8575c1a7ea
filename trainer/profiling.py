"""The profile of a training: what its rows were like, and the answers to those held out; kept in the card."""

from dataclasses import replace
from typing import Any

from models.columns import Column, Wording, answers_in, features_in
from models.privacy import Privacy
from models.profiles import Profile
from models.recipe import Recipe
from models.tensors import Tensor
from trainer.exporting.export import Signature, feed
from trainer.sampling import evenly
from trainer.table import Table

ROWS_MOST = 100_000
NUMBERS_MOST = 1 << 23  # more rows, evenly chosen, would change no share that matters


def profile(
    recipe: Recipe, train: Table, read: int, signature: Signature, answered: tuple[Wording, Tensor]
) -> dict[str, Any]:
    """Return the card's entry for training rows, of `read` that were read, and for answers to rows held out."""
    numbers = sum(values.x[0].size for values in train.inputs.values())
    chosen = evenly(len(train), min(ROWS_MOST, NUMBERS_MOST // max(1, numbers)))
    feeds, (wording, answers) = feed(train.take(chosen), signature), answered
    columns = [
        with_filled(one, train.filled.get(one.field, 0) / read) for one in features_in(recipe.features, feeds)
    ]
    of = f"{len(chosen):,} training rows and the answers to {len(answers):,} held out"
    return Profile.made(of, columns, answers_in(wording, answers), Privacy.of(recipe.as_data())).as_entry()


def with_filled(column: Column, share: float) -> Column:
    """Return a column with how many of its rows have a default; that is counted over all parts."""
    return replace(column, filled=round(min(1.0, share) * column.rows))
