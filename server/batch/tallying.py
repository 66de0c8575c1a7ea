"""Tallying: the rows of one part selected, read, run and written, and what came of them counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from models.errors import InsituError
from models.tallies import Tally
from server.batch.answering import Errors
from server.batch.opening import Tools
from server.batch.pacing import patiently
from server.batch.parts import Part, texts_of
from server.batch.scored import Scored
from server.batch.targets.target import PartName


async def scored(tools: Tools, name: PartName, part: Part) -> Tally:
    """Read, run and write the rows of a part, and count what came of them; each step again until Redis is there.

    Raises: RedisUnavailable, away for too long.
    """
    tally = Tally()
    answering = tools.answering
    if part.instances:
        keys = answering.names_of(part.instances)
        found, errors = await patiently(lambda: answering.of_instances(keys, part.instances))
    else:
        keys = [*dict.fromkeys(texts_of(part.keys))]
        left = await patiently(lambda: tools.selection.of(keys))
        tally.passed = len(keys) - len(left)
        found, errors = await patiently(lambda: answering.of_keys(left))
    name = replace(name, keys=keys)
    refused = await written(tools, name, found)
    listed = tools.errors
    if (errors or refused) and listed is not None:
        await patiently(lambda: listed.write(name, {**errors, **refused}))
    for one in found:
        count(tally, one, refused)
    for error in (*errors.values(), *refused.values()):
        tally.skip(error, privacy=tools.privacy)
    return tally


async def written(tools: Tools, name: PartName, found: list[Scored]) -> Errors:
    """Write rows everywhere, and return those that some place does not take."""
    refused: Errors = {}
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
