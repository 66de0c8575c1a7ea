"""How this installation was built: its hot path as Python or as C (setup.py)."""

from importlib.util import find_spec

SAMPLE = "models.assembly"  # one of the modules that are compiled


def is_compiled() -> bool:
    """Whether the hot path was compiled."""
    found = find_spec(SAMPLE)
    return found is not None and found.origin is not None and not found.origin.endswith(".py")
