"""How the score grows with the rows: the same training on nested shares of them, within a time."""

from collections.abc import Callable
from math import isfinite

from trainer.judging.evidence import Size

SHARES = (0.125, 0.25, 0.5)
ROWS_LEAST = 10

Learn = Callable[[int], float]


def data_curve(whole: Size, learn: Learn, seconds: float, seconds_whole: float) -> tuple[Size, ...]:
    """Return the score for shares of the rows and at last for all, fewer shares where the time is short.

    `learn` trains on the first so many rows and returns the score on those held out, nan where
    that came to nothing; training on `whole.rows` took `seconds_whole`, a share is taken to need its share of that.
    """
    shares = [share for share in SHARES if whole.rows * share >= ROWS_LEAST]
    while shares and sum(shares) * seconds_whole > seconds:
        shares.pop()
    sizes = [round(whole.rows * share) for share in shares]
    return (*(size for rows in sizes if isfinite((size := Size(rows, learn(rows))).score)), whole)
