"""Explanations as OpenAPI describes them; answers are held to these by the tests, not at run time."""

from typing import Annotated, Any, Literal

from pydantic import Field

from server.rest.schemas import Fault, RowsAsked, Strict


class ExplainRequest(RowsAsked):
    """Which rows to explain, exactly one of `keys`, `instances` and `inputs`, and how."""

    keys: list[str] | None = None
    """Full Redis keys as they lie in Redis, one a row, at most 64."""

    timeout_ms: Annotated[float, Field(gt=0)] | None = None
    """Milliseconds after which the answer is of no use; at most the server's own limit counts."""

    label: str | None = None
    """The label whose probability is explained; the predicted one if not given."""

    output: str | None = None
    """An output of the graph of which a number is explained."""

    element: Annotated[int, Field(ge=0)] | None = None
    """Which number of that output, counted over the row.

    If not given the only one, a value's median, or the first step of a forecast.
    """

    reference: dict[str, Any] | None = None
    """Rows to compare with: tensors by the name of the graph's input, at most 64 rows; else the version's."""

    samples: Annotated[int, Field(ge=64, le=16_384)] | None = None
    """Most rows that are run for a row that is explained; 2048 if not given, more where its features need it."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The same seed draws the same orders of features."""


class Contribution(Strict):
    """What one feature adds to a prediction."""

    feature: str
    """Name of the field; a place such as `digit:{id}[3,4]` where elements have no names."""

    value: float | str | bool | None
    """What it is in the row; null for several elements."""

    reference: float | str | bool | None
    """What it is in the reference; null for several elements or several reference rows."""

    contribution: float
    error: float
    """Half the width of the 95 % interval of `contribution`; 0 where nothing was left to chance."""


class Explanation(Strict):
    """One row: what each feature adds to its prediction, or its error."""

    key: str | None = None
    version: int | None = None
    """The version that answered this row, where it is not the answer's."""

    output: str | None = None
    label: str | None = None
    """The label whose probability is explained."""

    element: int | None = None
    """Which number of the output is explained, where it is no label's probability."""

    part: str | None = None
    """What that number is, where the answer has several: `quantile 0.5`, `step 1 of 3`, `cost`."""

    prediction: float | None = None
    """The number that is explained, as the version predicts it."""

    baseline: float | None = None
    """The same number for the reference; the mean over its rows."""

    contributions: list[Contribution] | None = None
    """The largest first; they add up to `prediction` - `baseline` within `sum_error`."""

    sum_error: float | None = None
    """How far the contributions are from adding up, measured; below 1e-9 of the larger of the two numbers."""

    sampling_error: float | None = None
    """The largest `error` of a contribution."""

    method: Literal["exact", "sampled"] | None = None
    runs: int | None = None
    """Rows that were run."""

    reference: str | None = None
    """What the row was compared with: the version's reference rows in words, `the request` or `zeros`."""

    reference_rows: int | None = None
    filled: list[str] | None = None
    """Values that were absent and stood in for, by `missing` or by a default of the feature view."""

    error: Fault | None = None
    """Why this row has no explanation; its neighbours have theirs."""


class ExplainAnswer(Strict):
    """One explanation a row, in the order of the request."""

    model: str
    version: int
    explanations: list[Explanation]
