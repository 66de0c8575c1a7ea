"""AnswerSpec: what the numbers of a model's answer are, where its task alone does not say."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

NAMES_LIMIT = 65_536
MEDIAN = 0.5

Name = Annotated[str, Field(max_length=512)]


class AnswerSpec(BaseModel):
    """Names of several values, quantiles of each, and above which score a row is an anomaly.

    `quantiles` are ascending and have the median among them: it is the value that is answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: Annotated[tuple[Name, ...], Field(max_length=NAMES_LIMIT)] = ()
    quantiles: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(max_length=99)] = ()
    threshold: FiniteFloat | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.values)) != len(self.values):
            raise ValueError("a value is named twice")
        if self.quantiles and (
            list(self.quantiles) != sorted(set(self.quantiles)) or MEDIAN not in self.quantiles
        ):
            raise ValueError("quantiles should ascend and have 0.5 among them")
        return self

    @property
    def width(self) -> int:
        """How many numbers a row's answer has, 0 where that is not said."""
        return max(len(self.values), 1) * len(self.quantiles) if self.quantiles else len(self.values)
