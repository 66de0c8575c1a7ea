"""Worths: the number that is explained, for any rows of one version; run in turns, through the Predictor."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.inference.asking import Ask
from server.inference.errors import Overloaded, RunFailed
from server.inference.explaining.asking import SAMPLES_MOST
from server.inference.explaining.between import Between
from server.inference.explaining.pacing import Pace, Turns
from server.inference.explaining.references import Feeds
from server.inference.explaining.shapley import Game
from server.inference.explaining.targets import Numbers, Outputs, Target
from server.inference.loading import Serving
from server.inference.predictor import Predictor

FULL = 0.5  # the share of a model's queue that may be taken: the rest is for predictions
RETRY_AFTER_SECONDS = 1.0


@dataclass(slots=True)
class Worths:
    """Runs rows of one version for one request, of which `rows_left` are not explained yet.

    Units: rows_most, of one request of the predictor; deadline, seconds of time.monotonic.
    """

    predictor: Predictor
    turns: Turns
    serving: Serving
    rows_most: int
    deadline: float
    rows_left: int

    async def outputs(self, feeds: Feeds) -> Outputs:
        """Return every output of one row.

        Raises: RunFailed, Overloaded, DeadlineExceeded.
        """
        async with self.turns.taken((self.rows_left, SAMPLES_MOST)):
            (found,) = await self._run(feeds)
        return found

    async def of(self, target: Target, between: Between, game: Game) -> Numbers:
        """Return the worth of each coalition of a game, small parts one after the other.

        Raises: RunFailed, Overloaded, DeadlineExceeded.
        """
        worths = np.empty(game.count)
        pace, at = Pace(between.row_bytes, self.rows_most), 0
        while at < game.count:
            rows = range(at, min(at + pace.rows, game.count))
            async with self.turns.taken((self.rows_left, game.count - at)):
                started = time.monotonic()
                found = target.worths(await self._mixed(between.feeds(*game.coalitions(rows))))
                pace.took(len(rows), time.monotonic() - started)
            if not np.isfinite(found).all():
                raise self._failed(f"output {target.output!r} is no finite number")
            worths[rows.start : rows.stop] = found
            at = rows.stop
        return worths

    async def _run(self, feeds: Feeds) -> Sequence[Outputs]:
        manifest, load = self.serving.manifest, self.serving.batcher.load
        if load > FULL:
            raise Overloaded(f"model {manifest.name!r}", self.predictor.under_way, RETRY_AFTER_SECONDS)
        ask = Ask(manifest.name, manifest.version, inputs=feeds, raw=True, deadline=self.deadline)
        answer = await self.predictor.predict(ask)
        for row in answer.rows:
            if row.error is not None:
                raise row.error
        return [row.body["outputs"] for row in answer.rows]

    async def _mixed(self, feeds: Feeds) -> Sequence[Outputs]:
        """Return the outputs of rows that are partly their reference, as the row itself has run."""
        try:
            return await self._run(feeds)
        except RunFailed as error:
            raise self._failed(str(error.details["reason"])) from error

    def _failed(self, reason: str) -> RunFailed:
        manifest, where = self.serving.manifest, "somewhere between the row and its reference"
        return RunFailed(
            manifest.name,
            manifest.version,
            f"{reason} {where}; name other rows to compare with as `reference`",
        )
