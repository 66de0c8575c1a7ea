"""Views and their plans, written short for tests."""

from collections.abc import Sequence
from typing import Any

from models.assembly import Assembled, Plan
from models.features import FeatureView

NOW = 1_700_000_000.0


def view(*sources: dict[str, Any], **facts: Any) -> FeatureView:
    """A view of one input `x`."""
    return FeatureView.read({"inputs": [{"name": "x", "sources": list(sources), **facts}]})


def plan(*sources: dict[str, Any], **facts: Any) -> Plan:
    """The plan of a view of one input `x`."""
    return Plan(view(*sources, **facts))


def assembled(
    compiled: Plan, replies: Sequence[Any], missing: Any = None, instances: Any = None
) -> Assembled:
    """Assemble rows whose placeholders are `id` 0, 1, ... unless instances are given."""
    if instances is None:
        width = max(1, len(compiled.templates))
        instances = [{"id": str(row)} for row in range(len(replies) // width)]
    return compiled.assemble(compiled.prepare(instances), replies, missing, now=NOW)
