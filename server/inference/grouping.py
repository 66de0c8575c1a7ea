"""Groups of rows parted further, where the graph would let one row be seen in another's answer."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from models.assembly import Group
from models.manifest import Manifest


def row_by_row(groups: Sequence[Group]) -> list[Group]:
    """Part every group into its rows."""
    return [
        Group([row], {name: tensor[at : at + 1] for name, tensor in group.feeds.items()})
        for group in groups
        for at, row in enumerate(group.rows)
    ]


def by_length(manifest: Manifest, groups: Sequence[Group], pad: Collection[str]) -> list[Group]:
    """Part padded sequences by their lengths, but for the inputs in `pad`: padding is no answer, and changes none."""
    for view in manifest.features.inputs if manifest.features else ():
        if view.lengths is not None and view.name not in pad:
            groups = [part for group in groups for part in of_one_length(group, view.name, view.lengths)]
    return list(groups)


def of_one_length(group: Group, name: str, lengths: str) -> Iterator[Group]:
    """Part one group by the lengths of one input, its padding cut off."""
    every = group.feeds[lengths]
    for length in np.unique(every).tolist():
        members = np.flatnonzero(every == length)
        feeds = {one: tensor[members] for one, tensor in group.feeds.items()}
        feeds[name] = feeds[name][:, :length]
        yield Group([group.rows[at] for at in members.tolist()], feeds)
