"""Some of many rows, where not every one is looked at."""

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most so many row numbers, evenly over all; at least one where there are rows."""
    return np.linspace(0, count - 1, min(count, max(1, most)), dtype=np.int64)
