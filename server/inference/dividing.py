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


def divided(split: Split, ask: Ask) -> Sequence[Share]:
    """Return the rows of a request by version, the one with the greatest weight first.

    A row counts by its key; what has no key goes whole to one version, in turn.
    """
    keys, instances = ask.keys, ask.instances
    if keys is not None:
        return ((split.of(keys[0]), ALONE),) if len(keys) == 1 else by_version(split, keys)
    plan = split.greatest.plan
    if instances is None or plan is None or not plan.templates:
        return ((split.following(), range(len(instances or ()))),)
    return by_instance(split, plan, instances)


def by_version(split: Split, keys: Sequence[str]) -> Sequence[Share]:
    """Return rows by the version of their key; without any row, the greatest version, which says so."""
    shares = split.parted(keys)
    if len(shares) > 1:
        shares.sort(key=lambda share: share[0] is not split.greatest)
    return shares or ((split.greatest, ()),)


def by_instance(split: Split, plan: Plan, instances: Sequence[Any]) -> Sequence[Share]:
    """Return rows by the key that each fills; one that fills none is the greatest version's, which says why."""
    keys = [key_of(plan, instance) for instance in instances]
    rows = {split.greatest.manifest.version: [row for row, key in enumerate(keys) if key is None]}
    keyed = [row for row, key in enumerate(keys) if key is not None]
    for serving, own in split.parted([key for key in keys if key is not None]):
        rows.setdefault(serving.manifest.version, []).extend(keyed[place] for place in own)
    shares = [(one, sorted(rows.get(one.manifest.version, ()))) for one in split.servings]
    shares = [share for share in shares if share[1]]
    shares.sort(key=lambda share: share[0] is not split.greatest)
    return shares or ((split.greatest, ()),)


def key_of(plan: Plan, instance: Any) -> str | None:
    """Return the key that an instance fills in the first keyed source, None when it fills none."""
    if not isinstance(instance, Mapping):
        return None
    try:
        return plan.template.fill(instance)
    except FeatureError:
        return None
