"""Ends taken off the series of rows in columns: from rows with whole series to windows of them.

The whole series are in memory once beside the windows. What a window is says trainer/datasets/series.py.
"""

from collections.abc import Callable

import numpy as np

from models.errors import InsituError
from models.features import FeatureView
from models.tensors import Tensor
from trainer.datasets.series import LENGTHS, Series
from trainer.errors import UnlabelledRow
from trainer.reading.filling import Filling
from trainer.table import Table

Fault = Callable[[int, InsituError], None]
NOTHING = 1  # row of room, where no series is long enough


def windows_of(table: Table, series: Series, view: FeatureView, most: int | None, fault: Fault) -> Table:
    """Return the windows of whole series as rows of `view`, each with the key and the mark of its series.

    A series that is too short has none; `fault` hears of its row. At most `most` rows were read.
    Raises: TooMuchData.
    """
    feeds = feeds_of(table, series)
    lengths = feeds[series.view.lengths or LENGTHS]
    counts = [series.windows(int(length)) for length in lengths]
    filling = Filling(view, max(NOTHING, sum(counts)), most)
    targets: list[Tensor] = []
    for row, key in enumerate(table.keys):
        try:
            for shown, following in series.cut(feeds, key, row):
                filling.append(shown)
                targets.append(following)
        except UnlabelledRow as error:
            fault(row, error)
    repeated = table.take(np.repeat(np.arange(len(table)), counts)) if targets else table.slice(0, 0)
    repeated.inputs = filling.inputs() if targets else {}
    repeated.targets = np.array(targets, np.float32)
    return repeated


def feeds_of(table: Table, series: Series) -> dict[str, Tensor]:
    """Return the inputs of whole rows as arrays by name, the lengths of their series among them."""
    found = {name: values.x for name, values in table.inputs.items()}
    own = table.inputs[series.view.name]
    whole = np.full(len(table), own.x.shape[1])
    return found | {series.view.lengths or LENGTHS: whole if own.lengths is None else own.lengths}
