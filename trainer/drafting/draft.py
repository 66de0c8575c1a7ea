"""What a recipe should say of rows that were looked at: task, fields, network, training; each with its reason."""

from collections import Counter
from dataclasses import dataclass, field

from models.errors import listed, shown
from models.number_marks import CURE
from models.sources import FIELDS_LIMIT, TEXT_LIMIT
from trainer.drafting.facts import Facts, by_count, stand_in
from trainer.drafting.look import A_TIME, Looked, Vector, storable
from trainer.errors import BadData

CLASSES_MOST = 200
CLASS_ROWS_LEAST = 3
NUMBER_CLASSES_MOST = 10
CATEGORIES_MOST = 100
ROWS_LEAST = 10
VOID_MOST = 0.05  # of the rows may be given up for texts among a field's numbers; for more the field is
ODD_SHOWN = 24  # characters
EARLIEST = 1e9  # Unix seconds, 2001: no answer was written before
SMALL_IMAGE = 4  # pixels a side below which there is nothing to convolve
UNSTORED = "delete such a field (HDEL), then it is missing"
MISSING, OTHER = "missing", "other"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the view; `note` is what the draft says of it."""

    name: str
    note: str
    categories: tuple[str, ...] = ()
    default: int | str | None = None
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """A network and its training for so many rows; rules of thumb, to be changed."""

    width: int
    depth: int
    dropout: float
    lr: float
    batch: int
    epochs: int
    patience: int


@dataclass(slots=True)
class Draft:
    """A recipe before it is written."""

    looked: Looked
    task: str = "regression"
    task_note: str = ""
    labels: tuple[tuple[str, int], ...] = ()
    fields: list[Field] = field(default_factory=list)
    steps: list[Field] = field(default_factory=list)
    """The fields of each entry, of rows that are streams."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    bad_share: float = 0.0
    bad_note: str = ""

    @property
    def inputs(self) -> int:
        """How many columns there are to learn from: fields, of rows or entries, and arrays."""
        return len(self.fields) + len(self.steps) + sum(not one.fields for one in self.looked.vectors)

    @property
    def sizes(self) -> Sizes:
        """What suits so many rows."""
        return sizes_for(self.looked.rows)


def sizes_for(rows: int) -> Sizes:
    """Return sizes that suit so many rows: few rows want a small, much regularised network."""
    if rows < 1000:
        return Sizes(32, 1, 0.3, 0.003, 32, 150, 30)
    if rows < 10_000:
        return Sizes(64, 2, 0.2, 0.003, 64, 100, 20)
    if rows < 100_000:
        return Sizes(128, 2, 0.1, 0.002, 256, 50, 10)
    return Sizes(256, 2, 0.1, 0.002, 1024, 20, 5)


def drafted(looked: Looked) -> Draft:
    """Choose a recipe.

    Raises: BadData, nothing to learn from, too much of it, or nothing to learn.
    """
    draft = Draft(looked, left_out=list(looked.left_out))
    choose_task(draft)
    for one in looked.vectors:
        share_of_bad(draft, one.bad, f"{one.bad} rows have no {one.name}, or one of no finite numbers")
        choose_steps(draft, one)
    scores = scored(looked)
    for facts in looked.fields:
        reason = scores.get(facts.name) or useless(facts, looked.key)
        if reason:
            draft.left_out.append((facts.name, reason))
        else:
            draft.fields.append(field_of(facts, looked.every))
            bad = facts.unread * looked.rows // facts.rows
            share_of_bad(draft, bad, f"{bad} rows have no number in {facts.name}")
    if len(draft.fields) > FIELDS_LIMIT:
        raise BadData(
            f"there are {len(draft.fields)} columns to learn from, a hash is read with {FIELDS_LIMIT} fields at most; "
            "put the numbers of a row into a column of lists, or into an array of an .npz file"
        )
    if not draft.fields and not any(one.kind != "stream" or draft.steps for one in looked.vectors):
        told = "; ".join(f"{name}: {reason}" for name, reason in draft.left_out) or "there is no other column"
        raise BadData(f"nothing to learn from beside the target ({told})")
    return draft


def choose_steps(draft: Draft, one: Vector) -> None:
    """Choose the fields of a stream's entries."""
    for facts in one.fields:
        reason = useless(facts, draft.looked.key)
        if reason:
            draft.left_out.append((facts.name, reason))
        else:
            draft.steps.append(field_of(facts, draft.looked.every))


def choose_task(draft: Draft) -> None:
    """Choose between labels and a number.

    Raises: BadData, no target that could be learned.
    """
    target = draft.looked.target
    values = target.values
    if target.known < ROWS_LEAST:
        raise BadData(
            f"{target.known} {'row has' if target.known == 1 else 'rows have'} a value of {target.name!r}, "
            f"{ROWS_LEAST} are needed to learn from"
        )
    if target.marked and target.distinct > NUMBER_CLASSES_MOST:
        raise BadData(f"{target.name!r} holds {shown(target.odd, ODD_SHOWN)!r}, which is no number; {CURE}")
    few = values is not None and len(values) <= (NUMBER_CLASSES_MOST if target.numbers else CLASSES_MOST)
    if target.numbers and (not few or not target.whole):
        draft.task_note = f"{target.name} is a number, {target.low:g} to {target.high:g}"
        share_of_bad(draft, target.missing, f"{target.missing} rows have no {target.name}")
        return
    if values is None or not few:
        raise BadData(
            f"{target.name!r} holds {target.distinct} different texts in {target.rows} rows, "
            f"{shown(target.odd)!r} the first that is no number; a target is a number (with a decimal point), or a "
            f"label of at most {CLASSES_MOST}"
        )
    if odd := spoilt(target):
        raise BadData(f"{target.name!r}: {odd}")
    if target.longest > TEXT_LIMIT:
        raise BadData(
            f"{target.name!r} holds a text of {target.longest} characters; a label has {TEXT_LIMIT} at most"
        )
    draft.task = "classification"
    choose_labels(draft, values)


def choose_labels(draft: Draft, values: Counter[str]) -> None:
    """Take every label that enough rows have.

    Raises: BadData, fewer than two.
    """
    target = draft.looked.target
    kept = [(text, count) for text, count in by_count(values) if count >= CLASS_ROWS_LEAST]
    rare = {text: count for text, count in values.items() if count < CLASS_ROWS_LEAST}
    reasons = [f"{target.missing} rows have no {target.name}"] if target.missing else []
    if rare:
        reasons.append(f"too few rows have {listed(f'{text} ({rare[text]})' for text in sorted(rare))}")
    if len(kept) < 2:
        # Where texts are alike they are labels, and none of them is a number gone wrong.
        odd = f"{shown(target.odd)!r} is the first that is no number" if target.odd and not kept else ""
        enough = f"{'1 label' if kept else '0 labels'} that {CLASS_ROWS_LEAST} rows or more have"
        told = "".join(f", {shown(text)!r}" for text, _ in kept)
        beside = "".join(f"; {reason}" for reason in (*reasons, odd) if reason)
        raise BadData(f"{target.name!r} has {enough}{told}{beside}; two labels are needed to tell apart")
    draft.labels = tuple(kept)
    draft.task_note = f"{target.name} has {len(kept)} different values"
    if target.numbers:
        draft.task_note += "; if they are amounts, say regression and take the labels out"
    share_of_bad(draft, target.missing + sum(rare.values()), "; ".join(reasons))


def share_of_bad(draft: Draft, bad: int, note: str) -> None:
    """Allow some more rows that are known to be of no use."""
    if bad:
        share = -(-bad * 1000 // draft.looked.rows) / 1000
        draft.bad_share = round(min(1.0, draft.bad_share + share), 3)
        draft.bad_note = f"{draft.bad_note}; {note}".removeprefix("; ")


def scored(looked: Looked) -> dict[str, str]:
    """Return the columns that a scoring job wrote into the rows, with why they are left out.

    Such an answer may come of a model that was trained on this target: it would tell it.
    Source: docs/scoring.md#where-to, `--to-field`.
    """
    columns = {facts.name: facts for facts in looked.fields}
    found: dict[str, str] = {}
    for name in (*columns, looked.target.name):
        version, time = columns.get(f"{name}_version"), columns.get(f"{name}_time")
        if version is None or time is None or not (version.numbers and version.whole and time.numbers):
            continue
        if version.low >= 1 and time.low >= EARLIEST:
            reason = f"it is an answer that `insitu score --to-field {name}` wrote"
            found |= dict.fromkeys(
                (name, *(f"{name}_{end}" for end in ("probability", "version", "time"))), reason
            )
    return found


def useless(facts: Facts, key: str) -> str:
    """Return why a column is no feature, nothing when it may be one."""
    texts, odd = not facts.numbers, spoilt(facts)
    many = facts.distinct > min(CATEGORIES_MOST, max(2, facts.known // 3))
    reasons = (
        (f"{{{facts.name}}}" in key, "it is the key of the row"),
        (not facts.known, "it is empty"),
        (
            facts.distinct == 1 and not facts.missing and not facts.void,
            f"it is always {next(iter(facts.values or ('the same',)))}",
        ),
        (facts.names_rows, "it names the row"),
        (bool(facts.named_again), named_again(facts)),
        (facts.timed, A_TIME),
        (not facts.name, "it has no name"),
        (
            facts.endless,
            f"it holds {shown(facts.odd, ODD_SHOWN)!r}, which is no finite number; "
            + (UNSTORED if facts.stored else "leave such a cell empty"),
        ),
        (
            facts.unread > VOID_MOST * facts.rows,
            f"{facts.unread} of {facts.rows} rows hold {listed(map(repr, facts.void))} there, which is no number; "
            + UNSTORED,
        ),
        (
            facts.marked and facts.distinct > NUMBER_CLASSES_MOST,
            f"it holds {shown(facts.odd, ODD_SHOWN)!r}, which is no number; {CURE}",
        ),
        (bool(odd), f"{odd}; codes are listed as `categories`"),
        (
            texts and (many or facts.longest > TEXT_LIMIT),
            f"it is free text, such as {shown(facts.odd, ODD_SHOWN)!r}{could_name(facts, key)}",
        ),
    )
    return next((reason for holds, reason in reasons if holds), "")


def named_again(facts: Facts) -> str:
    """Return how many rows have the name of another one, and the cure."""
    return (
        f"it names the row, though {facts.named_again} of {facts.known} rows have the name of another one; "
        f"take out what is there twice, or keep it in one part: split: {{group: {facts.name}}}"
    )


def spoilt(facts: Facts) -> str:
    """Return what keeps a column of numbers from being one, and the cure; nothing of any other."""
    odd = facts.spoilt
    if not odd:
        return ""
    told = f"{odd} of its {facts.known} values {'is' if odd == 1 else 'are'} no number, such as "
    cure = UNSTORED if facts.stored else "leave such a cell empty"
    return f"{told}{shown(facts.odd, ODD_SHOWN)!r}; correct that, or {cure}"


def could_name(facts: Facts, key: str) -> str:
    """Return how a column of a file becomes the key of its rows, nothing where it cannot."""
    if facts.stored or not (facts.unlike and facts.name.isidentifier() and storable(facts)):
        return ""
    return f"; if it names the rows, let it be their key: {key.rpartition(':')[0]}:{{{facts.name}}}"


def field_of(facts: Facts, every: bool) -> Field:
    """Return the field of a column; `every` says whether all of its values were seen."""
    gaps = f", missing in {facts.missing} of {facts.rows}" if facts.missing else ""
    if facts.numbers:
        note = f"{facts.low:g} to {facts.high:g}{gaps}"
        return Field(facts.name, note, default=stand_in(facts) if facts.missing else None)
    categories = [text for text, _ in by_count(facts.categories)]
    gap = next(word for word in (MISSING, "(missing)", "(none)") if word not in categories)
    rest = next(word for word in (OTHER, "(other)", "(rest)") if word not in categories)
    known = (*categories, *([gap] if facts.missing else []), *([] if every else [rest]))
    return Field(
        facts.name,
        f"{len(categories)} categories{gaps}",
        known,
        gap if facts.missing else None,
        None if every else rest,
    )
