"""Presets: networks by name, width and depth, for whoever does not want to list layers.

    network: {preset: mlp, width: 64, depth: 2, dropout: 0.2, batch_norm: true}

A preset is nothing but the layers it stands for; the card of a trained model lists them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter

from models.layers.layer import Layer, Share
from models.layers.network import NetworkLayer

Name = Literal["mlp", "deep_mlp", "cnn", "lstm", "gru", "rnn", "tcn"]
Written = list[Any]
LAYER_LIST: TypeAdapter[tuple[NetworkLayer, ...]] = TypeAdapter(tuple[NetworkLayer, ...])
BOUND = {"clip": {"low": -10, "high": 10}}  # no single number outshouts the others, however large
CHANNELS_MOST = 512
SIDE_KEPT = 4  # of an image before it is flattened


class Preset(BaseModel):
    """A network by its name; what is not said is as the preset has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Name
    width: Annotated[int, Strict(), Field(ge=1, le=4096)] | None = None
    depth: Annotated[int, Strict(), Field(ge=1, le=16)] | None = None
    dropout: Share = 0.0
    batch_norm: bool | None = None


PRESET_KEYS = list(Preset.model_fields)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a preset is told of the rows of its input: shape, where None is a free number of steps.

    `kind` is vector, sequence or image; `categories` says whether a field has some; `ordered`
    whether the end of a sequence counts more than its whole, as in a forecast.
    """

    shape: tuple[int | None, ...]
    kind: Literal["vector", "sequence", "image"]
    categories: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """Width and depth of a preset, and what lies between its layers."""

    width: int
    depth: int
    dropout: float
    batch_norm: bool

    def between(self, dropout: str = "dropout") -> Written:
        """Return what follows a layer that learns."""
        return [
            *(["batch_norm"] if self.batch_norm else []),
            "relu",
            *([{dropout: self.dropout}] if self.dropout else []),
        ]


def scaled(rows: Rows) -> Written:
    """Return what brings a row to one scale, and to a vector."""
    first = "columns" if rows.categories else "standardize"
    return [first, BOUND, *([] if rows.kind == "vector" else ["flatten"])]


def mlp(size: Size, rows: Rows) -> Written:
    """Linear layers, each with an activation."""
    return [*scaled(rows), *([{"linear": size.width}, *size.between()] * size.depth)]


def deep_mlp(size: Size, rows: Rows) -> Written:
    """Residual blocks of two linear layers. Source: Gorishniy et al. 2021, the ResNet for tables."""
    norm = "batch_norm" if size.batch_norm else "layer_norm"
    drop = [{"dropout": size.dropout}] if size.dropout else []
    block = [norm, {"linear": 2 * size.width}, "relu", *drop, {"linear": size.width}, *drop]
    return [*scaled(rows), {"linear": size.width}, *([{"residual": block}] * size.depth), norm, "relu"]


def cnn(size: Size, rows: Rows) -> Written:
    """Convolutions whose channels double while pools halve what they look at."""
    layers: Written = ["standardize"]
    word, drop = ("conv2d", "dropout") if rows.kind == "image" else ("conv1d", "dropout1d")
    sides = rows.shape[-2:] if rows.kind == "image" else rows.shape[:1]
    kept = SIDE_KEPT if rows.kind == "image" else 1
    for number in range(size.depth):
        channels = max(size.width, min(size.width << number, CHANNELS_MOST))
        layers += [{word: {"channels": channels, "padding": "same"}}, *size.between(drop)]
        if all(side is None or side > kept for side in sides):
            layers.append({"max_pool": 2})
            sides = tuple(None if side is None else side // 2 for side in sides)
    if word == "conv1d":
        return [*layers, "last_step" if rows.ordered else "global_max_pool"]
    if max(side or 0 for side in sides) > SIDE_KEPT:
        layers.append({"adaptive_avg_pool": SIDE_KEPT})
    drop_end = [{"dropout": size.dropout}] if size.dropout else []
    return [*layers, "flatten", {"linear": 2 * size.width}, "relu", *drop_end]


def recurrent(word: str, size: Size) -> Written:
    """A stack of recurrent layers that reads both ways."""
    options = {"hidden": size.width, "layers": size.depth, "bidirectional": True}
    inner = {"dropout": size.dropout} if size.depth > 1 else {}
    return [
        "standardize",
        {word: {**options, **inner}},
        *([{"dropout": size.dropout}] if size.dropout else []),
    ]


def lstm(size: Size, _rows: Rows) -> Written:
    """LSTM."""
    return recurrent("lstm", size)


def gru(size: Size, _rows: Rows) -> Written:
    """GRU."""
    return recurrent("gru", size)


def rnn(size: Size, _rows: Rows) -> Written:
    """Plain recurrent network."""
    return recurrent("rnn", size)


def tcn(size: Size, rows: Rows) -> Written:
    """Causal convolutions that look twice as far back in each block. Source: Bai et al. 2018."""
    layers: Written = ["standardize"]
    for number in range(size.depth):
        convolution = {
            "conv1d": {"channels": size.width, "padding": "causal", "dilation": 1 << min(number, 9)}
        }
        part = [convolution, *size.between("dropout1d")]
        layers.append({"residual": [*part, *part]})
    return [*layers, "last_step" if rows.ordered else "global_max_pool"]


PRESETS: dict[Name, tuple[Callable[[Size, Rows], Written], Size]] = {
    "mlp": (mlp, Size(64, 2, 0, batch_norm=False)),
    "deep_mlp": (deep_mlp, Size(64, 4, 0, batch_norm=True)),
    "cnn": (cnn, Size(32, 2, 0, batch_norm=True)),
    "lstm": (lstm, Size(64, 1, 0, batch_norm=False)),
    "gru": (gru, Size(64, 1, 0, batch_norm=False)),
    "rnn": (rnn, Size(64, 1, 0, batch_norm=False)),
    "tcn": (tcn, Size(32, 4, 0, batch_norm=False)),
}
RECURRENT: Sequence[Name] = ("lstm", "gru", "rnn")


def misfit(preset: Preset, rows: Rows) -> str | None:
    """Return why a preset does not suit the rows of its input, None when it does."""
    if preset.batch_norm is not None and preset.preset in RECURRENT:
        return f"takes no batch_norm: {preset.preset} is a recurrent network; take it out, or use dropout"
    if preset.preset in ("mlp", "deep_mlp"):
        free = None in rows.shape
        return f"{preset.preset} reads rows of one size; take gru, lstm, rnn, tcn or cnn" if free else None
    if preset.preset == "cnn":
        return "cnn reads a sequence or an image; take mlp or deep_mlp" if rows.kind == "vector" else None
    return None if len(rows.shape) == 2 else f"{preset.preset} reads a sequence; take mlp or cnn"


def expanded(preset: Preset, rows: Rows) -> tuple[Layer, ...]:
    """Return the layers that a preset stands for."""
    build, usual = PRESETS[preset.preset]
    size = Size(
        preset.width or usual.width,
        preset.depth or usual.depth,
        preset.dropout,
        usual.batch_norm if preset.batch_norm is None else preset.batch_norm,
    )
    return LAYER_LIST.validate_python(build(size, rows))
