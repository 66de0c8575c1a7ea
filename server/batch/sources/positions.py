"""Positions: where a walk goes on, as a short JSON text; pure."""

from typing import Any

import orjson


def written(**facts: Any) -> str:
    """Return the facts as a position."""
    return orjson.dumps(facts).decode()


def facts_of(position: str) -> dict[str, Any]:
    """Return the facts of a position; none of one that another kind of walk wrote."""
    try:
        facts = orjson.loads(position)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
