"""Explainer: one request from its rows to what each feature adds to their predictions; it knows no wire.

    route -> features -> the row's own prediction -> rows between it and the reference -> Shapley values

Everything that runs goes through the Predictor like any other request of tensors, in small parts
that let predictions go first.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import BadRequest
from models.manifest import Manifest
from models.named_elements import features_of
from models.privacy import Privacy
from server.inference.asking import Answer, Ask, Row
from server.inference.catalogue import Catalogue
from server.inference.dividing import Share, divided
from server.inference.errors import (
    BadInput,
    DeadlineExceeded,
    NotExplainable,
    Overloaded,
    RunFailed,
    TooManyRows,
    code_of,
)
from server.inference.explaining import reading
from server.inference.explaining.asking import ROWS_MOST, SAMPLES, SAMPLES_MOST, Wish
from server.inference.explaining.between import Between
from server.inference.explaining.pacing import Turns
from server.inference.explaining.reading import Features
from server.inference.explaining.references import Feeds, Reference, reference_of
from server.inference.explaining.shapley import Estimate, Game, game, least
from server.inference.explaining.targets import target_of
from server.inference.explaining.wording import Explained, body
from server.inference.explaining.worths import RETRY_AFTER_SECONDS, Worths
from server.inference.predictor import Predictor, check_ways
from server.metrics import Metrics

# What is wished of one row, by its shape and what it holds, may be well of another.
UNFIT = (BadInput, NotExplainable)
UNDER_WAY_MOST = 16  # requests: each holds the features of its rows as long as it takes


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a request.

    Units: rows that one request of the predictor may have; seconds an explanation may take.
    """

    rows: int
    timeout_seconds: float


class Explainer:
    """Explains predictions; shared by every door."""

    def __init__(
        self, catalogue: Catalogue, send: reading.Send, predictor: Predictor, metrics: Metrics, bounds: Bounds
    ) -> None:
        """Take what predictions are made of; `send` is the reader's `ask`."""
        self._catalogue = catalogue
        self._send = send
        self._predictor = predictor
        self._metrics = metrics
        self._bounds = bounds
        self._turns = Turns(lambda: predictor.under_way)
        self._under_way = 0

    async def explain(self, ask: Ask, wish: Wish) -> Answer:
        """Explain each row of a request; a row that fails carries its own error.

        Raises: InsituError for what concerns the whole request: model, size, overload, deadline; the first
                row's BadInput or NotExplainable, where not one row can be explained so.
        """
        started = time.monotonic()
        deadline = started + self._bounds.timeout_seconds
        if ask.deadline is not None:
            deadline = min(deadline, ask.deadline)
        try:
            return await self._in_time(ask, wish, deadline - started)
        except Exception as error:
            self._metrics.failed(self._catalogue.counted_as(ask.model), code_of(error))
            raise

    async def _in_time(self, ask: Ask, wish: Wish, seconds: float) -> Answer:
        wish.check()
        check_ways(ask)
        if self._under_way >= UNDER_WAY_MOST:
            raise Overloaded("explaining", self._under_way, RETRY_AFTER_SECONDS)
        self._under_way += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._explained(ask, wish, time.monotonic() + seconds)
        except TimeoutError as error:
            raise DeadlineExceeded(seconds) from error
        finally:
            self._under_way -= 1

    async def _explained(self, ask: Ask, wish: Wish, deadline: float) -> Answer:
        shares = await self._shares(ask)
        first = shares[0][0].manifest
        rows = [Row(key) for key in ask.keys] if ask.keys is not None else []
        done = unfit = 0
        for serving, own in shares:
            found = await reading.features_of(self._send, serving, ask, own)
            if not rows:  # tensors say themselves how many they are
                check_count(len(found))
                rows = [Row() for _ in (ask.instances or found)]
            left = len(rows) - done
            worths = Worths(self._predictor, self._turns, serving, self._bounds.rows, deadline, left)
            privacy = Privacy.of_model(serving.manifest.recipe, serving.manifest.features)
            for at, features in zip(own or range(len(found)), found, strict=True):
                if serving.manifest.version != first.version:
                    rows[at].version = serving.manifest.version
                unfit += await self._row(worths, wish, privacy, features, rows[at])
                worths.rows_left -= 1
                done += 1
        if unfit == len(rows) and rows[0].error is not None:
            raise rows[0].error
        for row in rows:
            if isinstance(row.error, UNFIT):
                version = first.version if row.version is None else row.version
                self._metrics.failed(first.name, row.error.code, version=version)
        return Answer(first.name, first.version, rows)

    async def _shares(self, ask: Ask) -> Sequence[Share]:
        """Return the versions that answer, each with its rows; those of tensors are not counted yet.

        Raises: BadRequest, TooManyRows, and what the catalogue raises.
        """
        count = len(ask.keys if ask.keys is not None else ask.instances or ())
        if not count and ask.inputs is None:
            raise BadRequest("the request has no rows; name at least one key or instance")
        check_count(count)
        route = self._catalogue.route(ask.model, ask.reference)
        if route is None:
            route = await self._catalogue.routed(ask.model, ask.reference)
        route.serving.used_at = time.monotonic()
        return ((route.serving, range(count)),) if route.split is None else divided(route.split, ask)

    async def _row(self, worths: Worths, wish: Wish, privacy: Privacy, features: Features, row: Row) -> bool:
        """Explain one row, or say what is wrong with it; whether that is what is wished of it."""
        manifest = worths.serving.manifest
        row.filled, row.error = [*map(privacy.alias, features.filled)], features.error
        if row.error is not None:
            self._metrics.failed(manifest.name, row.error.code, version=manifest.version)
            return False
        try:
            row.body = await explained(worths, wish, privacy, features.feeds)
        except RunFailed as error:  # counted where it was run
            row.error = error
        except UNFIT as error:
            row.error = error.bare()
            return True
        return False


async def explained(worths: Worths, wish: Wish, privacy: Privacy, feeds: Feeds) -> dict[str, Any]:
    """Return the explanation of one row, (1, ...) by input.

    Raises: BadRequest, NotExplainable, RunFailed, Overloaded, DeadlineExceeded.
    """
    manifest = worths.serving.manifest
    outputs = await worths.outputs(feeds)
    target = target_of(manifest, wish, outputs)
    prediction = float(target.worths([outputs])[0])
    reference = reference_of(manifest, wish.reference)
    features = features_of({name: one.shape[1:] for name, one in feeds.items()}, manifest.features)
    between = Between(feeds, reference.like(feeds), features)
    played = chosen(manifest, wish, between, reference)
    if played is None:
        estimate = Estimate(np.zeros(0), np.zeros(0), prediction)
    else:
        estimate = played.solve(await worths.of(target, between, played), prediction)
    return body(Explained(target, prediction, features, between, reference, played, estimate, privacy))


def chosen(manifest: Manifest, wish: Wish, between: Between, reference: Reference) -> Game | None:
    """Return the game that is played; None where nothing differs from the reference.

    Raises: NotExplainable, more features than any number of runs explains; TooFewSamples.
    """
    players = len(between.players)
    if not players:
        return None
    needed = least(players)
    if needed > SAMPLES_MOST:
        raise NotExplainable(
            f"model {manifest.name!r} has {players} features that differ from the reference; at most "
            f"{SAMPLES_MOST // 4} are explained",
            features=players,
        )
    return game(players, reference.rows, wish.samples or max(SAMPLES, needed), wish.seed)


def check_count(rows: int) -> None:
    """Refuse more rows than one request may have.

    Raises: TooManyRows.
    """
    if rows > ROWS_MOST:
        raise TooManyRows(rows, ROWS_MOST)
