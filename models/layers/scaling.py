"""Scaling and normalisation: fixed, fitted on the training rows, or learned."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from models.layers.layer import Count, Layer, Number


class Normalisation(Layer):
    """`batch_norm` over the rows, `layer_norm` over each row's (or step's) features."""

    layer: Literal["batch_norm", "layer_norm"]


class GroupNorm(Layer):
    """A normalisation over each of `groups` groups of channels, of each row, step or image."""

    short = "groups"
    layer: Literal["group_norm"]
    groups: Count


class Fitted(Layer):
    """Scaling whose numbers are measured on the training rows.

    `standardize` brings each channel to mean 0 and deviation 1, `robust` to median 0 and a distance
    of 1 between the quartiles, `min_max` into 0 to 1.
    """

    layer: Literal["standardize", "robust", "min_max"]


class Quantile(Layer):
    """The share of the training rows below, from 0 to 1, or the place of that share in a normal curve.

    Between `knots` quantiles it is a straight line, beyond them flat.
    """

    short = "to"
    layer: Literal["quantile"]
    to: Literal["uniform", "normal"] = "uniform"
    knots: Annotated[int, Strict(), Field(ge=2, le=1000)] = 100


class Whiten(Layer):
    """The principal components of the channels, each brought to deviation 1: none tells of another.

    `shrink` of the mean variance is added to that of every component, so that one which the training
    rows hardly have is not blown up.
    """

    short = "shrink"
    layer: Literal["whiten"]
    shrink: Annotated[Number, Field(gt=0, le=1)] = 0.01


class Scale(Layer):
    """Divides every number."""

    short = "divide_by"
    layer: Literal["scale"]
    divide_by: Annotated[Number, Field(gt=0)]


class Log1p(Layer):
    """log(1 + x), mirrored for negative x."""

    layer: Literal["log1p"]


class Clip(Layer):
    """Holds every number between `low` and `high`."""

    layer: Literal["clip"]
    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise PydanticCustomError("order", "low is at or above high; swap them")
        return self
