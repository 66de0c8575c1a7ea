"""Dividing: which rows of a request each version of a traffic rule answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.assembly import Plan
from models.errors import FeatureError
from server.inference.asking import Ask
from server.inference.loading import Serving
from server.inference.routing import Split

Share = tuple[Serving, Sequence[int]]  # a version, and the rows of the request that are its own
ALONE = (0,)


def divided(split: Split, ask: Ask) -> list[Share]:
    """Return the rows of a request by version, the one with the greatest weight first.

    A row counts by its key; what has no key goes whole to one version, in turn.
    """
    keys, instances = ask.keys, ask.instances
    if keys is not None:
        return [(split.of(keys[0]), ALONE)] if len(keys) == 1 else by_version(split, keys)
    plan = split.greatest.plan
    if instances is None or plan is None or not plan.templates:
        return [(split.following(), range(len(instances or ())))]
    return by_version(split, [key_of(plan, instance) for instance in instances])


def by_version(split: Split, keys: Sequence[str | None]) -> list[Share]:
    """Return rows by version; a row whose key is not known is the greatest version's, which says why."""
    rows: dict[int, list[int]] = {}
    for row, key in enumerate(keys):
        version = split.greatest if key is None else split.of(key)
        rows.setdefault(version.manifest.version, []).append(row)
    found = [(one, rows[one.manifest.version]) for one in split.servings if one.manifest.version in rows]
    return sorted(found, key=lambda share: share[0] is not split.greatest)


def key_of(plan: Plan, instance: Any) -> str | None:
    """Return the key that an instance fills in the first keyed source, None when it fills none."""
    if not isinstance(instance, Mapping):
        return None
    try:
        return plan.template.fill(instance)
    except FeatureError:
        return None
