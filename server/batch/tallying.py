"""Tallying: the rows of one part selected, read, run and written, and what came of them counted."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from models.errors import InsituError
from models.ledger import SILENT_SECONDS
from models.tallies import Tally
from server.batch.opening import Tools
from server.batch.pacing import patiently
from server.batch.parts import Part, readable
from server.batch.scored import Scored
from server.batch.targets.target import PartName, Refused


async def scored(tools: Tools, name: PartName, part: Part) -> Tally:
    """Read, run and write the rows of a part, and count what came of them; each step again until Redis is there.

    Raises: RedisUnavailable, away for too long.
    """
    tally, since = Tally(), time.monotonic()
    answering = tools.answering
    if part.instances:
        keys = answering.names_of(part.instances, part.first)
        kept = set(await patiently(lambda: tools.selection.of([*dict.fromkeys(keys)])))
        rows = [(key, one) for key, one in zip(keys, part.instances, strict=True) if key in kept]
        tally.passed = len(keys) - len(rows)
        names, instances = [key for key, _ in rows], [one for _, one in rows]
        found, errors = await patiently(lambda: answering.of_instances(names, instances))
    else:
        texts, odd = readable(part.keys)
        keys = [*dict.fromkeys(texts)]
        left = await patiently(lambda: tools.selection.of(keys))
        tally.passed = len(keys) - len(left)
        found, errors = await patiently(lambda: answering.of_keys(left))
        errors += [(key, answering.refusal(key)) for key in odd]
        keys += odd
    name = replace(name, keys=keys)
    refused = await written(tools, name, found)
    if refused:
        errors += [(key, refused[key]) for one in found for key in one.keys if key in refused]
    if errors and tools.errors is not None:
        asleep = time.monotonic() - since > SILENT_SECONDS / 2  # another process may have the part by now
        listed, told = tools.errors, replace(name, again=name.again or asleep)
        await patiently(lambda: listed.write(told, errors))
    for one in found:
        count(tally, one, refused)
    for _, error in errors:
        tally.skip(error, privacy=tools.privacy)
    return tally


async def written(tools: Tools, name: PartName, found: list[Scored]) -> Refused:
    """Write rows everywhere, and return those that some place does not take."""
    refused: Refused = {}
    if any(map(len, found)):
        for target in tools.targets:
            refused.update(await patiently(partial(target.write, name, found)))
    return refused


def count(tally: Tally, one: Scored, refused: Mapping[str, InsituError]) -> None:
    """Count rows that were told something, but for those that some place did not take."""
    taken = np.isfinite(one.numbers)
    labels = one.labels or ()
    if refused:
        written = [key not in refused for key in one.keys]
        taken &= written
        labels = [label for label, good in zip(labels, written, strict=False) if good]
        tally.scored += sum(written)
    else:
        tally.scored += len(one)
    tally.add_labels(Counter(labels))
    tally.add_numbers(one.numbers[taken])
