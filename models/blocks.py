"""Blocks: many keys of one plan -> what to ask, and bytes of replies -> tensors, with no object a row.

    rows = keyed(plan, keys)                  the keys of each source, and which rows have them
    source.asked(keys, apart=False).portions  whoever has a connection sends them ...
    asked.read(reply)                         ... and has what came for it read
    feeds(block, found)                       the tensors of the rows that every source has

A row that is not plainly well is left to `Plan.assemble`, which fills it in or words what is wrong.
"""

from collections.abc import Sequence

import numpy as np

from models.assembly import Plan
from models.errors import BadFeatureView
from models.hash_blocks import HashBlock
from models.replies import Found
from models.rows import shaped
from models.sources import HashSource, Source, VectorSource
from models.tensors import Tensor
from models.vector_blocks import VectorBlock

SourceBlock = VectorBlock | HashBlock


def supports(plan: Plan) -> bool:
    """Whether a plan's rows can be read in blocks: numbers of hashes and vectors, whatever their age."""
    views = plan.view.inputs
    kinds = all(isinstance(one, HashSource | VectorSource) for view in views for one in view.sources)
    return plan.columnar and kinds and all(view.dtype != "string" for view in views)


class PlanBlocks:
    """The sources of a plan, read for many keys."""

    def __init__(self, plan: Plan) -> None:
        """Take a plan that is supported."""
        self.plan = plan
        self.sources: list[SourceBlock] = []
        self._inputs = [
            (view, [self._source(one, view.dtype or "float32") for one in view.sources])
            for view in plan.view.inputs
        ]

    def _source(self, source: Source, dtype: str) -> int:
        """Add the block of a source, and return its place."""
        if isinstance(source, HashSource):
            self.sources.append(HashBlock(source, dtype))
        elif isinstance(source, VectorSource):
            self.sources.append(VectorBlock(source, dtype))
        else:
            raise BadFeatureView("only hashes and vectors are read in blocks")
        return len(self.sources) - 1

    def keyed(self, keys: Sequence[str]) -> tuple[Sequence[int], list[Sequence[str]]]:
        """Return which keys the view accepts, and the keys of each source for them."""
        prepared = self.plan.prepare_keys(keys)
        if prepared.lone:
            return prepared.live, [prepared.lone]
        return prepared.live, [[row[at] for row in prepared.keys] for at in range(len(self.sources))]

    def feeds(self, found: Sequence[Found]) -> tuple[dict[str, Tensor], Tensor]:
        """Return the tensors of the rows that are well in every source, and which these are, (B,)."""
        good = np.logical_and.reduce([one.good for one in found])
        feeds = {}
        for view, places in self._inputs:
            parts = [found[at].values for at in places]
            whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
            feeds[view.name] = shaped(whole if good.all() else whole[good], view)
        return feeds, good
