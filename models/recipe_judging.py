"""What a recipe says of how its model is judged: decision, calibration, fairness, private names; data only."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.features import FeatureView
from models.layers.layer import Number
from models.recipe_faults import fault, meant
from models.sources import FeastSource, HashSource, JsonSource
from models.templates import KeyTemplate

FIELDS_LIMIT = 64
RULES = ("cost", "f_beta", "precision", "recall")

Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Names = Annotated[tuple[Text, ...], Field(max_length=FIELDS_LIMIT)]
Share = Annotated[Number, Field(gt=0, lt=1)]


class Section(BaseModel):
    """Immutable, a misspelt word is refused, and a field's docstring is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Cost(Section):
    """What a mistake costs, in any unit."""

    false_positive: Annotated[Number, Field(ge=0, le=1e9)] = 1.0
    false_negative: Annotated[Number, Field(ge=0, le=1e9)] = 1.0

    @model_validator(mode="after")
    def _something_costs(self) -> Self:
        if self.false_positive == self.false_negative == 0:
            raise fault("says that no mistake costs anything; give one of them a cost")
        return self


class Decision(Section):
    """From which probability on one of two labels is said; one of the rules."""

    positive: Text | None = None
    """The label that is looked for; the second one when not given."""
    cost: Cost | None = None
    """The threshold of the lowest cost."""
    f_beta: Annotated[Number, Field(gt=0, le=100)] | None = None
    """The threshold of the highest F score; recall counts so many times as much as precision."""
    precision: Share | None = None
    """The lowest threshold whose precision is at least this."""
    recall: Share | None = None
    """The highest threshold whose recall is at least this."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        given = [rule for rule in RULES if getattr(self, rule) is not None]
        if len(given) != 1:
            raise fault(
                f"gives {' and '.join(given) or 'no rule'}; it takes exactly one of {', '.join(RULES)}, "
                "for example cost: {false_positive: 1, false_negative: 20}"
            )
        return self


class Judge(Section):
    """How much is looked at after training."""

    data_curve: bool = False
    """Whether to train again on shares of the rows, to see what more rows would bring."""
    seconds: Annotated[Number, Field(gt=0, le=86_400)] = 60.0
    """How long that may take."""
    temperature: bool = True
    """Whether probabilities may be tempered, where that makes them more honest."""


class Fairness(Section):
    """Which groups of rows are compared with one another."""

    fields: Annotated[Names, Field(min_length=1)]
    """Fields that say which group a row is in; read beside the target."""
    key: Text | None = None
    """Template of the hash that holds them; the row's own key when it is a hash, else the target's."""
    input: bool = False
    """Whether the network may see these fields."""
    bound: Annotated[Number, Field(gt=0, le=1)] = 0.1
    """Largest gap between two groups without a warning."""


def audit_key(fairness: Fairness, view: FeatureView, target_key: str) -> str:
    """Return the template of the hash that holds the sensitive fields."""
    first = view.keyed[0]
    return fairness.key or (first.key if isinstance(first, HashSource) else target_key)


def field_names(view: FeatureView) -> tuple[str, ...]:
    """Return the names of every field that a view reads, in order."""
    sources = (source for one in view.inputs for source in one.sources)
    fields = (
        source.fields for source in sources if isinstance(source, HashSource | JsonSource | FeastSource)
    )
    return tuple(dict.fromkeys(field.name for part in fields for field in part))


def check_decision(decision: Decision | None, classes: Sequence[str], validation: float) -> None:
    """Refuse a decision between other than two labels, or without rows to make it on."""
    if decision is None:
        return
    if validation == 0:
        raise fault("needs a validation share above 0: the threshold is chosen on those rows", "decision")
    if len(classes) != 2:
        raise fault(
            f"is between two labels, the recipe has {len(classes)}; take it out: "
            "of more labels the likeliest is said",
            "decision",
        )
    if decision.positive is not None and decision.positive not in classes:
        raise fault(
            f"is {decision.positive!r}, no label of the recipe{meant(decision.positive, list(classes))}",
            *("decision", "positive"),
        )


def check_fairness(fairness: Fairness | None, view: FeatureView, rows: KeyTemplate) -> None:
    """Refuse sensitive fields that the network sees against the recipe's word, and keys a row cannot fill."""
    if fairness is None:
        return
    seen = [name for name in fairness.fields if name in field_names(view)]
    if seen and not fairness.input:
        raise fault(
            f"keeps {', '.join(seen)} out of the input, but features read it; take it out of features, "
            "or say input: true",
            *("fairness", "fields"),
        )
    unknown = set(KeyTemplate(fairness.key).placeholders) - set(rows.placeholders) if fairness.key else set()
    if unknown:
        raise fault(
            f"is {fairness.key!r} and needs {', '.join(sorted(unknown))}, which the rows' key {rows.text!r} "
            "does not give",
            *("fairness", "key"),
        )


def check_private(private: Iterable[str], view: FeatureView, others: Iterable[str]) -> None:
    """Refuse a private name that nothing in the recipe has: a misspelt one would protect nothing."""
    known = [*field_names(view), *(one.name for one in view.inputs), *others]
    for name in private:
        if name not in known:
            raise fault(f"names {name!r}, which no feature is called{meant(name, known)}", "private")
