"""What a value is that came as JSON; without numpy, so that what starts quickly can ask."""

import math
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; a truth value is none."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
