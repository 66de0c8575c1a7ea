"""Drifting: rows of today read through a model's view and run, as columns that are compared with its profile.

found    the source is walked, and an even sample of its rows kept
looked   these are read and run in parts: features, answers, and what could not be read
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from models.assembly import Assembled, Group, Plan, Prepared
from models.columns import Column, Gaps, Wording, answers_in, features_in
from models.errors import InsituError, RedisUnavailable
from models.features import FeatureView
from models.manifest import Manifest
from models.privacy import Privacy
from models.profiles import NOT_LISTED
from models.sources import SequenceSource, VectorSource
from models.tallies import Tally
from models.tensors import Tensor
from models.values import Missing
from server.batch.pacing import unhurried
from server.batch.parts import Part, Source, readable
from server.batch.sampling import Sample
from server.batch.truths import Truth, Truths
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.loading import Serving
from server.inference.reading.reads import awaited

PART_ROWS = 1024
PART_BYTES = 8 << 20  # of features; a row that is larger is a part
AT_ONCE = 4  # parts that are read and run
SAMPLE_BYTES = 256 << 20  # of features that are in memory at once

Watch = Callable[[int, int], None]
Row = Any  # a key, or an instance


@dataclass(slots=True)
class Looked:
    """What rows are like: `skipped` counts those that get no answer, `others` keys that the model does not read.

    `found` is how many rows there are, of which `rows` were looked at.
    """

    found: int = 0
    rows: int = 0
    others: int = 0
    skipped: Tally = field(default_factory=Tally)
    features: list[Column] = field(default_factory=list)
    answers: list[Column] = field(default_factory=list)
    truths: Truths = field(default_factory=Truths)

    def take(self, piece: "Looked") -> None:
        """Take what some of the rows are like."""
        self.skipped.merge(piece.skipped)
        self.features += piece.features
        self.answers += piece.answers
        self.truths.said += piece.truths.said
        self.truths.true += piece.truths.true


def sample_rows(serving: Serving, rows: int) -> int:
    """Return how many rows of a version are looked at, where so many are asked for: as many as memory is meant for."""
    return max(1, min(rows, SAMPLE_BYTES // serving.row_bytes))


async def found(source: Source, plan: Plan, most: int, watch: Watch) -> tuple[Looked, list[Row]]:
    """Walk a source, and return what there is and an even sample of its rows, which are keys or instances.

    Raises: what `Source.steps` raises.
    """
    looked, sample = Looked(), Sample[Row](most)
    async for step in source.steps(""):
        if step.anew:
            looked = Looked()
            sample.clear()
        named = [*rows_of(step.part, source, plan)]
        looked.found += len(named)
        looked.others += len(step.part) - len(named)
        sample.add(named)
        watch(round(step.share * 1000), 1000)
    rows = sample.rows
    if len(rows) < most:
        looked.found = len(rows)  # SCAN may give a key several times
    looked.rows = len(rows)
    return looked, rows


def rows_of(part_found: Part, source: Source, plan: Plan) -> Iterator[tuple[bytes, Row]]:
    """Give the rows of a step with what names each; of keys that nobody named those that the model reads."""
    if part_found.instances:
        for at, instance in enumerate(part_found.instances, part_found.first):
            yield b"%d" % at, instance
        return
    texts, odd = readable(part_found.keys)
    for key in (
        texts if source.strict or plan.template.accepts_all(texts) else filter(plan.template.match, texts)
    ):
        yield key.encode(), key
    for key in odd if source.strict else ():
        yield key.encode(), key


class Looking:
    """Reads and runs rows of one version, and gathers their columns."""

    def __init__(
        self, engine: Engine, serving: Serving, plan: Plan, missing: Missing, truth: Truth | None
    ) -> None:
        """Take a version with the plan of its view, what stands in for absent values, and where the truth is.

        Raises: BadRequest, a stand-in for what the view does not read.
        """
        plan.check_missing(missing)
        self._engine, self._serving, self._plan, self._missing = engine, serving, plan, missing
        self._truth, self._manifest = truth, serving.manifest
        self._open = Plan(opened(plan.view))
        self._stands, self._known = stand_ins(plan, missing)
        self._privacy = Privacy.of_model(self._manifest.recipe, self._manifest.features)
        alone = serving.rows != "apart"
        fitting = min(PART_ROWS, engine.limits.rows, PART_BYTES // serving.row_bytes)
        self._size = 1 if alone else max(1, fitting)

    async def of(self, rows: Sequence[Row], looked: Looked, watch: Watch) -> Looked:
        """Read and run rows, and return what was known of them with their columns.

        Raises: RedisUnavailable, RedisRefused; what is wrong with the model.
        """
        parts = [rows[start : start + self._size] for start in range(0, len(rows), self._size)]
        done = 0
        for start in range(0, len(parts), AT_ONCE):
            some = parts[start : start + AT_ONCE]
            for piece in await asyncio.gather(*map(self._piece, some)):
                looked.take(piece)
            done += sum(map(len, some))
            watch(done, len(rows))
        looked.features, looked.answers = joined(looked.features), joined(looked.answers)
        return looked

    async def _piece(self, rows: Sequence[Row]) -> Looked:
        """Read and run the rows of one part."""
        (prepared, replies), truths = await asyncio.gather(self._read(rows), self._truths(rows))
        served = self._plan.assemble(prepared, replies, self._missing)
        piece = Looked(features=[*self._features(prepared, replies, served)])
        for error in served.errors.values():
            if isinstance(error, RedisUnavailable):
                raise error
            piece.skipped.skip(error, privacy=self._privacy)
        for group in served.groups:
            piece.answers += await self._answers(group, truths, piece)
        return piece

    async def _read(self, rows: Sequence[Row]) -> tuple[Prepared, Sequence[Any]]:
        keyed = isinstance(rows[0], str)
        prepared = self._plan.prepare_keys(rows) if keyed else self._plan.prepare(rows)
        commands = prepared.encoded()
        return prepared, await awaited(self._engine.ask, commands) if commands else []

    def _features(self, prepared: Prepared, replies: Sequence[Any], served: Assembled) -> Iterator[Column]:
        """Give the features of rows; of those that get no answer what can be read."""
        plain = not served.errors and not served.filled
        every = served if plain else self._open.assemble(prepared, replies, self._stands)
        view = self._plan.view if plain else self._open.view
        for group in every.groups:
            yield from features_in(view, group.feeds, self._gaps(group, every))

    def _gaps(self, group: Group, assembled: Assembled) -> Gaps:
        filled: dict[str, list[int]] = {}
        absent: dict[str, list[int]] = {}
        for at, row in enumerate(group.rows):
            for name in assembled.filled.get(row, ()):
                which = filled if self._known is None or name in self._known else absent
                which.setdefault(name, []).append(at)
        return Gaps(filled, absent)

    async def _answers(self, group: Group, truths: Sequence[str | None], looked: Looked) -> list[Column]:
        """Run rows of one shape, and return what they were answered."""
        ask = Ask(self._manifest.name, self._manifest.version, inputs=group.feeds, tensors=True)
        try:
            answer = await unhurried(partial(self._engine.predictor.predict, ask))
        except RedisUnavailable:
            raise
        except InsituError as error:
            looked.skipped.skip(error, len(group.rows), self._privacy)
            return []
        outputs = answer.outputs or {}
        columns = [*answered(self._manifest, outputs)]
        if self._truth is not None:
            said = outputs[str(self._manifest.output)].reshape(len(group.rows), -1)
            looked.truths.add(self._manifest, self._truth, said, [truths[row] for row in group.rows])
        return columns

    async def _truths(self, rows: Sequence[Row]) -> Sequence[str | None]:
        if self._truth is None:
            return ()
        return await self._truth.read(self._engine.ask, self._plan, rows)


def joined(columns: Sequence[Column]) -> list[Column]:
    """Return columns of the same name as one."""
    named: dict[str, list[Column]] = {}
    for one in columns:
        named.setdefault(one.name, []).append(one)
    return [*map(Column.joined, named.values())]


def answered(manifest: Manifest, outputs: Mapping[str, Tensor]) -> Iterator[Column]:
    """Give a column for each thing that outputs say; a model without a task says its outputs."""
    if manifest.output is not None and manifest.task != "tensor":
        yield from answers_in(Wording.of(manifest), outputs[manifest.output])
        return
    for name, output in outputs.items():
        for one in answers_in(Wording(manifest.task), output):
            yield replace(one, name=name)


def opened(view: FeatureView) -> FeatureView:
    """Return a view that takes any text for a category: one that it does not know is the last."""

    def open_source(source: Any) -> Any:
        fields = tuple(map(opened_field, getattr(source, "fields", ())))
        return source.model_copy(update={"fields": fields}) if fields else source

    return view.changed(open_source)


def opened_field(one: Any) -> Any:
    """Return a field that takes any text where it has categories."""
    if not one.categories or one.unknown is not None:
        return one
    return one.model_copy(update={"categories": (*one.categories, NOT_LISTED), "unknown": NOT_LISTED})


def stand_ins(plan: Plan, missing: Missing) -> tuple[Missing, set[str] | None]:
    """Return what stands in for everything that may be absent, and which names have a real one; None for all."""
    if missing is not None and not isinstance(missing, Mapping):
        return missing, None
    given = dict(missing or {})
    sources = [source for one in plan.view.inputs for source in one.sources]
    named = [(one.key, one) for one in sources if isinstance(one, VectorSource | SequenceSource)]
    named += [(each.name, each) for one in sources for each in getattr(one, "fields", ())]
    known = {name for name, one in named if one.default is not None} | set(given)
    return given | {name: 0.0 for name in plan.fillable if name not in known}, known
