"""Ends taken off series: what a forecast is shown, and the steps that followed.

Each list or stream is read longer than the network will see it. From its newest end backwards, `windows`
times, the last `steps` are the truth and what stands before them is the input, as the view would
give it had it ended there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import shown
from models.features import FeatureView, InputView
from models.recipe import Recipe
from models.recipe_data import FollowingTarget
from models.sources import SequenceSource
from models.tensors import Tensor
from trainer.errors import UnlabelledRow
from trainer.table import Table

LENGTHS = "lengths of the series"  # no graph has an input of that name: it has spaces


@dataclass(frozen=True, slots=True)
class Series:
    """The one input of a view whose list or stream is forecast."""

    target: FollowingTarget
    view: InputView
    source: SequenceSource

    @classmethod
    def of(cls, recipe: Recipe) -> "Series | None":
        """Return the series of a recipe, None where its target is something else."""
        target = recipe.data.target
        if not isinstance(target, FollowingTarget):
            return None
        return next(
            cls(target, one, source)
            for one in recipe.features.inputs
            for source in one.sources
            if isinstance(source, SequenceSource)
        )

    def longer(self, view: FeatureView) -> FeatureView:
        """Return the view that reads every end as well, each row in its own length."""
        more = self.target.steps + (self.target.windows - 1) * self.target.every
        inputs = []
        for one in view.inputs:
            if one.name == self.view.name:
                source = self.source.model_copy(update={"last": self.source.last + more, "pad": "none"})
                lengths = one.lengths or LENGTHS
                one = one.model_copy(update={"sources": (source,), "lengths": lengths, "shape": None})  # noqa: PLW2901  # the one changed
            inputs.append(one)
        return view.model_copy(update={"inputs": tuple(inputs)})

    def windows(self, length: int) -> int:
        """Return how many ends a series of so many steps has."""
        return len(self._ends(length))

    def _ends(self, length: int) -> range:
        return range(length - self.target.steps, 0, -self.target.every)[: self.target.windows]

    def cut(self, feeds: Mapping[str, Tensor], key: str, row: int) -> list[tuple[dict[str, Tensor], Tensor]]:
        """Return one feed of a single row and the steps that followed for each end of one series.

        Shape: (1, T, F), and (steps, channels).
        Raises: UnlabelledRow, too short for even one.
        """
        steps = self.target.steps
        name, lengths = self.view.name, self.view.lengths or LENGTHS
        length = int(feeds[lengths][row])
        whole = feeds[name][row, :length]
        if length <= steps:
            raise UnlabelledRow(
                f"{shown(key)!r} has {length} steps; to forecast {steps} it needs {steps + 1} or more",
                key=shown(key),
            )
        others = {one: values[row : row + 1] for one, values in feeds.items() if one not in (name, lengths)}
        return [
            (others | self._shown(whole[:end]), self._following(whole[end : end + steps]))
            for end in self._ends(length)
        ]

    def _shown(self, steps: Tensor) -> dict[str, Tensor]:
        last = self.source.last
        steps = steps[-last:]
        if self.source.pad == "none":
            return {self.view.name: steps[None], str(self.view.lengths): np.array([len(steps)], np.int64)}
        padded = np.full((last, *steps.shape[1:]), self.source.pad_value, steps.dtype)
        place = slice(last - len(steps), None) if self.source.pad == "left" else slice(len(steps))
        padded[place] = steps
        return {self.view.name: padded[None].reshape(1, *(self.view.shape or padded.shape))}

    def last_known(self, table: Table) -> Tensor | None:
        """Return the last step that each row shows: a forecast that says it again is the naive one.

        Shape: (N, 1, channels); None where padding behind that step hides which it is.
        """
        values = table.inputs[self.view.name]
        if self.view.shape is not None or (values.lengths is None and self.source.pad == "right"):
            return None
        ends = -1 if values.lengths is None else values.lengths - 1
        return self._following(values.x[np.arange(len(table)), ends])[:, None]

    def _following(self, steps: Tensor) -> NDArray[np.float32]:
        channels = list(self.target.channels) or slice(None)
        following: NDArray[np.float32] = steps[:, channels].astype(np.float32)
        return following
