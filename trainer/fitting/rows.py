"""Rows: a table as tensors on the device that trains, and how it is gone through in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from trainer.networks.network import Inputs
from trainer.table import Table

BLOCK_BYTES = 8 << 20  # rows gathered at once: large enough to be rare, small beside any table that is large


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as tensors on the device that trains."""

    inputs: Inputs
    targets: Tensor

    @classmethod
    def of(cls, table: Table, device: torch.device) -> "Rows":
        """Move a table to a device, as the float32 that a network begins with."""
        inputs: Inputs = {}
        for name, values in table.inputs.items():
            x = torch.from_numpy(values.x.astype(np.float32, copy=False)).to(device)
            lengths = None if values.lengths is None else torch.from_numpy(values.lengths).to(device)
            inputs[name] = (x, lengths)
        return cls(inputs, torch.from_numpy(table.targets).to(device))

    def take(self, rows: Tensor) -> "Rows":
        """Return some of the rows, in the order given."""
        inputs: Inputs = {}
        for name, (x, lengths) in self.inputs.items():
            inputs[name] = (
                x.index_select(0, rows),
                None if lengths is None else lengths.index_select(0, rows),
            )
        return Rows(inputs, self.targets.index_select(0, rows))

    def parts(self, bounds: Sequence[int]) -> Iterator["Rows"]:
        """Give the rows between each bound and the next, as views without padding that none of them needs."""
        lengths = {name: one.tolist() for name, (_, one) in self.inputs.items() if one is not None}
        for start, stop in pairwise(bounds):
            inputs: Inputs = {
                name: (x[start:stop], None)
                if one is None
                else (x[start:stop, : max(lengths[name][start:stop])], one[start:stop])
                for name, (x, one) in self.inputs.items()
            }
            yield Rows(inputs, self.targets[start:stop])

    @property
    def row_bytes(self) -> int:
        """How many bytes one row has."""
        every = (self.targets, *(x for x, _ in self.inputs.values()))
        return max(1, sum(one[0].numel() * one.element_size() for one in every))

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.targets.device

    def __len__(self) -> int:
        return len(self.targets)


def shuffled(rows: Rows, batch: int) -> Iterator[Rows]:
    """Give every row once, in batches by chance.

    Rows are gathered by blocks of several batches, of which each batch is a view: one gather is
    paid for many, and a large table is never there a second time.
    """
    order = torch.randperm(len(rows)).to(rows.device)
    bounds = batch_bounds(len(rows), batch)
    step = max(1, BLOCK_BYTES // (rows.row_bytes * batch))
    for first in range(0, len(bounds) - 1, step):
        block = bounds[first : first + step + 1]
        gathered = rows.take(order[block[0] : block[-1]])
        yield from gathered.parts([bound - block[0] for bound in block])


def batch_bounds(count: int, batch: int) -> list[int]:
    """Return where batches begin, and where the last ends; a last row alone joins the batch before it.

    Batch normalisation has nothing to measure on one row.
    """
    bounds = [*range(0, count, batch), count]
    if count > batch and count % batch == 1:
        del bounds[-2]
    return bounds
