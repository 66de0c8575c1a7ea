"""What a person, or a program, is told of drift."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.explaining import name_text
from cli.terminal import BLOCKS, Terminal, count_text, plain
from models.drift import DRAWN_CELLS, DRIFTED, SHIFTED, Drift, Report
from models.manifest import Manifest
from models.profiles import Part, Profile

if TYPE_CHECKING:
    from server.batch.drifting import Looked
    from server.batch.truths import Skill

SHOWN_LEAST, SHOWN_MOST = 12, 40
NOTHING = "·"
QUIET = ("stable", "chance")


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything that is told; `limit` is the PSI of --fail-over."""

    manifest: Manifest
    profile: Profile
    report: Report
    looked: "Looked"
    skill: "Skill | None"
    limit: float | None

    @property
    def over(self) -> list[Drift]:
        """What is over the limit, and not by chance."""
        every = (*self.report.features, *self.report.answers)
        return [one for one in every if self.limit is not None and one.psi > self.limit and one.beyond_chance]


def show(terminal: Terminal, one: Shown) -> bool:
    """Show how rows differ, and return whether anything is over the limit."""
    if terminal.as_json:
        terminal.emit(as_data(one))
    else:
        show_text(terminal, one)
    if one.over:
        names = ", ".join(f"{part.name} {part.psi:.3g}" for part in one.over[:SHOWN_LEAST])
        more = f" and {len(one.over) - SHOWN_LEAST} more" if len(one.over) > SHOWN_LEAST else ""
        terminal.note(f"over a PSI of {one.limit:g}: {names}{more}", "error")
    return bool(one.over)


def show_text(terminal: Terminal, one: Shown) -> None:
    """Show it to a person."""
    looked, manifest = one.looked, one.manifest
    part = "" if looked.rows == looked.found else f" of {looked.found:,}, evenly chosen,"
    terminal.say(
        f"{manifest.name} version {manifest.version}: {count_text(looked.rows, 'row')}{part} beside {one.profile.of}"
    )
    show_parts(terminal, "feature", one.report.features)
    if one.profile.left_out:
        terminal.say(f"{one.profile.left_out:,} more features have no profile: it keeps the first ones")
    if any(part.now for part in one.report.answers):
        show_parts(terminal, "answer", one.report.answers)
    terminal.say(
        f"PSI: stable below {SHIFTED}, shifted below {DRIFTED}, drifted above; up to `chance` so many rows differ "
        "without any drift",
        "quiet",
    )
    if one.skill is not None:
        terminal.say(skill_text(one.skill), "warn" if one.skill.worse else "")
    if looked.others:
        terminal.say(f"passed over {count_text(looked.others, 'key')} that this model does not read")
    tally = looked.skipped
    if tally.skipped:
        rows = [[code, f"{count:,}", tally.examples[code]] for code, count in tally.skipped.most_common()]
        terminal.table(["no answer", ">rows", "the first"], rows)


def show_parts(terminal: Terminal, what: str, parts: Sequence[Drift]) -> None:
    """Show a line for each of the worst, and how many others there are."""
    loud = sum(one.verdict not in QUIET for one in parts)
    most = min(SHOWN_MOST, max(SHOWN_LEAST, loud))
    shown, rest = parts[:most], parts[most:]
    heads = [head for head in TEXTS if head not in OPTIONAL or any(TEXTS[head](one) for one in shown)]
    rows = [[name_text(one.name), *(TEXTS[head](one) for head in heads)] for one in shown]
    terminal.table([what, *heads], rows)
    for one in shown:
        for text, share in one.new[:SHOWN_LEAST] if one.verdict not in QUIET else ():
            terminal.say(f"  {one.name}: {text!r} has {share:.1%} of the rows and was rare or never there")
    if rest:
        counts = Counter(one.verdict for one in rest)
        told = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common())
        terminal.say(f"and {count_text(len(rest), 'more ' + what)}: {told}")


def change(then: str, now: str) -> str:
    """Return what there was and what there is."""
    return f"{then} → {now}" if then != now else now


def of_bins(one: Drift, name: str) -> str:
    """Return a number of then and of now, nothing of categories."""
    if one.then.bins is None or one.now is None or one.now.bins is None:
        return ""
    return change(plain(getattr(one.then.bins, name)), plain(getattr(one.now.bins, name)))


def lacking(part: Part) -> float:
    """Return the share of rows without a number of their own: a default stands in, or nothing does."""
    return (part.filled + part.absent) / max(1, part.rows)


def missing_text(one: Drift) -> str:
    """Return the share of rows without a value, then and now; nothing where no row lacks one."""
    if one.now is None or not lacking(one.then) + lacking(one.now):
        return ""
    return change(f"{lacking(one.then):.1%}", f"{lacking(one.now):.1%}")


TEXTS: dict[str, Callable[[Drift], str]] = {
    ">PSI": lambda one: f"{one.psi:.3f}" if one.now else "",
    ">chance": lambda one: f"{one.chance:.3f}" if one.now else "",
    "verdict": lambda one: one.verdict,
    ">KS": lambda one: f"{one.ks:.2f}" if one.ks is not None else "",
    "mean": lambda one: of_bins(one, "mean"),
    "median": lambda one: of_bins(one, "median"),
    "missing": missing_text,
    ">outside": lambda one: f"{one.outside:.1%}" if one.outside else "",
    "then": lambda one: sparkline(one.drawn[0]),
    "now": lambda one: sparkline(one.drawn[1]),
}
OPTIONAL = (">KS", "mean", "median", "missing", ">outside")  # shown where any part has something to say


def sparkline(shares: Sequence[float]) -> str:
    """Return shares as heights, the largest is whole; what is there is seen."""
    shares = shares[:DRAWN_CELLS]
    most = max(shares, default=0.0) or 1.0
    return "".join(BLOCKS[round(share / most * (len(BLOCKS) - 1))] if share else NOTHING for share in shares)


def skill_text(skill: "Skill") -> str:
    """Return how good answers are beside how good they were."""
    now = f"{skill.metric} {skill.value:.4g} ({skill.low:.4g} to {skill.high:.4g})"
    told = f"{now} of {count_text(skill.rows, 'row')} whose truth is known"
    if skill.then is None:
        return told
    ends = skill.then_range
    between = f" ({ends[0]:.4g} to {ends[1]:.4g})" if ends else ""
    verdict = "worse than it was" if skill.worse else "no worse than it was, as far as so many rows tell"
    return f"{told}, {skill.then:.4g}{between} held out at its training: {verdict}"


def as_data(one: Shown) -> dict[str, Any]:
    """Return it for a program."""
    looked, skill = one.looked, one.skill
    return {
        "model": one.manifest.name,
        "version": one.manifest.version,
        "rows": looked.rows,
        "found": looked.found,
        "other_keys": looked.others,
        "against": one.profile.of,
        "features": [part_data(part) for part in one.report.features],
        "answers": [part_data(part) for part in one.report.answers],
        "left_out": one.profile.left_out,
        "skill": None if skill is None else skill_data(skill),
        "skipped": dict(looked.skipped.skipped),
        "examples": looked.skipped.examples,
        "over": [part.name for part in one.over],
    }


def part_data(one: Drift) -> dict[str, Any]:
    """Return one part for a program."""
    facts = {"name": one.name, "verdict": one.verdict}
    if one.now is None:
        return facts
    return facts | {
        "psi": one.psi,
        "expected": one.expected,
        "chance": one.chance,
        "ks": one.ks,
        "outside": one.outside,
        "new": dict(one.new),
        "missing": [lacking(one.then), lacking(one.now)],
        "then": side_data(one.then),
        "now": side_data(one.now),
        "drawn": [list(shares) for shares in one.drawn],
    }


def side_data(part: Part) -> dict[str, Any]:
    """Return one side of a part: its rows, and numbers or categories."""
    facts = {"rows": part.rows, "filled": part.filled, "absent": part.absent}
    if part.bins is None:
        return facts | {"categories": part.categories}
    return facts | {name: getattr(part.bins, name) for name in ("mean", "median", "least", "most")}


def skill_data(skill: "Skill") -> dict[str, Any]:
    """Return the score of today for a program."""
    return {
        "metric": skill.metric,
        "rows": skill.rows,
        "value": skill.value,
        "interval": [skill.low, skill.high],
        "then": skill.then,
        "then_interval": skill.then_range,
        "worse": skill.worse,
    }
