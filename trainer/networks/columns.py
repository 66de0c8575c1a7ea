"""Columns of a vector treated each in its own way, those of one treatment together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from models.layers.activations import Activation
from models.layers.columns import ColumnEmbedding, Columns, Missing, OneHot
from models.layers.layer import Layer
from models.layers.scaling import Clip, Fitted, Log1p, Quantile, Scale
from trainer.networks import activations, fitted, scaling
from trainer.networks.fitted import FittedStep, Parts, channels, sample
from trainer.networks.forms import Column, DoesNotFit, Form
from trainer.networks.steps import Each, Flow, Step

Treatment = tuple[Layer, ...]
STANDARDIZED: Treatment = (Fitted(layer="standardize"),)
ONE_HOT: Treatment = (OneHot(layer="one_hot"),)


class Indicated(FittedStep):
    """Stand-ins replaced by the mean or median of what was there, and a column for each that tells."""

    value: Tensor
    fill: Tensor

    def __init__(self, spec: Missing, stand_ins: Sequence[float]) -> None:
        super().__init__()
        self.median = spec.fill == "median"
        self.register_buffer("value", torch.tensor(stand_ins, dtype=torch.float32))
        self.register_buffer("fill", torch.zeros(len(stand_ins)))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: unchanged; `indicators` gives the columns that tell."""
        return torch.where(x == self.value, self.fill, x), lengths

    def indicators(self, x: Tensor) -> Tensor:
        """Shape: unchanged, 1 where a stand-in stands."""
        return (x == self.value).to(x.dtype)

    def fit(self, parts: Parts) -> None:
        """Measure what was there; a column of stand-ins alone is filled with 0."""
        values = torch.from_numpy(sample(parts)) if self.median else None
        self.fill.copy_(self._means(parts) if values is None else self._medians(values))

    def _means(self, parts: Parts) -> Tensor:
        total, count = torch.zeros(()), torch.zeros(())
        for values in channels(parts):
            there = values != self.value.to(values.dtype)
            total = total + torch.where(there, values, 0.0).sum(0)
            count = count + there.sum(0)
        return total / count.clamp(min=1)

    def _medians(self, values: Tensor) -> Tensor:
        absent = values == self.value.to(values)
        return torch.where(absent, torch.nan, values).nanmedian(0).values.nan_to_num(0.0)


class OneOfEach(nn.Module):
    """One column for each category of each column; another number than a category's gives zeros."""

    source: Tensor
    number: Tensor

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__()
        source = [at for at, count in enumerate(counts) for _ in range(count)]
        number = [float(number) for count in counts for number in range(count)]
        self.register_buffer("source", torch.tensor(source))
        self.register_buffer("number", torch.tensor(number))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, columns) -> (B, sum of the counts)."""
        return (x[:, self.source] == self.number).to(x.dtype)


class Looked(nn.Module):
    """A learned vector for each category of each column; a number outside counts as the nearest."""

    def __init__(self, counts: Sequence[int], size: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count, size) for count in counts)
        self.most = [count - 1 for count in counts]

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, columns) -> (B, columns * size)."""
        numbers = x.long()
        found = [
            table(numbers[:, at].clamp(0, most))
            for at, (table, most) in enumerate(zip(self.tables, self.most, strict=True))
        ]
        return torch.cat(found, -1)


class Treated(FittedStep):
    """The columns of one treatment: taken out of the row and run through its layers."""

    at: Tensor

    def __init__(self, at: Sequence[int], steps: Sequence[Step], whole: bool) -> None:
        super().__init__()
        self.register_buffer("at", torch.tensor(at))
        self.steps = nn.ModuleList(steps)
        self.whole = whole

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, columns) -> (B, what the treatment makes of its own)."""
        own = x if self.whole else x[:, self.at]
        told = [step.indicators(own) for step in self.steps if isinstance(step, Indicated)]
        for step in self.steps:
            own, _ = step(own, None)
        return (torch.cat([own, *told], -1) if told else own), lengths

    def fit(self, parts: Parts) -> None:
        """Measure each layer after those before it."""
        for count, step in enumerate(self.steps):
            if isinstance(step, FittedStep):
                step.fit(partial(self._reached, parts, count))

    def _reached(self, parts: Parts, count: int) -> Iterator[Flow]:
        for x, _ in parts():
            own = x[:, self.at]
            for step in self.steps[:count]:
                own, _ = step(own, None)
            yield own, None


class AllColumns(FittedStep):
    """Every treatment, joined in the order in which its first column comes."""

    def __init__(self, groups: Sequence[Treated]) -> None:
        super().__init__()
        self.groups = nn.ModuleList(groups)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, columns) -> (B, features)."""
        parts = [group(x, None)[0] for group in self.groups]
        return (torch.cat(parts, -1) if len(parts) > 1 else parts[0]), lengths

    def fit(self, parts: Parts) -> None:
        """Measure each treatment on its columns."""
        for group in self.groups:
            if isinstance(group, Treated):
                group.fit(parts)


BUILDERS: Mapping[type[Layer], Callable[..., tuple[Step, Form]]] = {
    **{kind: activations.BUILDERS[kind] for kind in (Activation,)},
    **{kind: fitted.BUILDERS[kind] for kind in (Fitted, Quantile)},
    **{kind: scaling.BUILDERS[kind] for kind in (Scale, Log1p, Clip)},
}


def columns(spec: Columns, form: Form, named: Sequence[Column]) -> tuple[Step, Form]:
    """Build the treatment of every column."""
    if form.rank != 1 or len(named) != form.channels:
        raise DoesNotFit("the fields of a hash or a JSON document, side by side", "take `standardize`")
    check_names(spec, named)
    groups: dict[Treatment, list[int]] = {}
    for at, column in enumerate(named):
        groups.setdefault(treatment_of(spec, column), []).append(at)
    built, width = [], 0
    for layers, members in groups.items():
        steps, features = treated(layers, [named[number] for number in members])
        built.append(Treated(members, steps, whole=len(members) == len(named)))
        width += features
    return AllColumns(built), Form((width,))


def check_names(spec: Columns, named: Sequence[Column]) -> None:
    """Refuse a name that is no field's."""
    known = [column.name for column in named if column.name is not None]
    for pattern in spec.fields:
        alone = Columns(layer="columns", fields={pattern: ()})
        if not any(alone.treatment(name) is not None for name in known):
            raise DoesNotFit(f"the fields {', '.join(known)}", f"{pattern!r} is none of them")


def treatment_of(spec: Columns, column: Column) -> Treatment:
    """Return what is done with one column."""
    said = spec.treatment(column.name)
    if said is not None:
        return said
    return ONE_HOT if column.categories else STANDARDIZED


def treated(layers: Treatment, named: Sequence[Column]) -> tuple[list[Step], int]:
    """Build the layers of one treatment and return how many features they end in."""
    form, told = Form((len(named),)), 0
    steps: list[Step] = []
    for layer in layers:
        if isinstance(layer, Missing):
            told = len(named)
            step: Step = Indicated(layer, [stand_in(layer, column) for column in named])
        elif isinstance(layer, OneHot):
            counts = [categories(column, None, "one_hot") for column in named]
            step, form = Each(OneOfEach(counts)), Form((sum(counts),))
        elif isinstance(layer, ColumnEmbedding):
            counts = [categories(column, layer.count, "embedding") for column in named]
            step, form = Each(Looked(counts, layer.size)), Form((len(counts) * layer.size,))
        else:
            step, form = BUILDERS[type(layer)](layer, form)
        steps.append(step)
    return steps, form.channels + told


def stand_in(layer: Missing, column: Column) -> float:
    """Return the number that stands where nothing was."""
    value = column.default if layer.value is None else layer.value
    if column.categories or value is None:
        cure = (
            "its categories may name one for it, take `one_hot`"
            if column.categories
            else f"give it one in the view, {{name: {column.name}, default: -1}}, or say `missing: {{value: -1}}`"
        )
        raise DoesNotFit(f"fields with a number as default, {column.name!r} has none", cure)
    return value


def categories(column: Column, count: int | None, word: str) -> int:
    """Return how many categories a column has."""
    known = column.categories or count
    if not known:
        cure = f"list them in the view: {{name: {column.name}, categories: [...]}}"
        raise DoesNotFit(f"fields with categories for `{word}`, {column.name!r} has none", cure)
    return known
