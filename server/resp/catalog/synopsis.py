"""The words of a command, `key [META] [BLOB | VALUES]`, as the arguments that `COMMAND DOCS` tells of.

    CAPITALS    a token; what follows it is its value
    name        a value; one named `key` is a key
    [ ]         may be left out; `[name ...]` after `name` is more of the same
    |           one of several

Source: https://redis.io/docs/latest/commands/command-docs/, "Command arguments".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

PIECES = re.compile(r"\[|\]|\.\.\.|\|>|\||[^\s\[\]|]+")
MORE = "..."
WHOLE, REAL = (
    frozenset({"count", "n", "m", "ms", "dim", "element", "samples"}),
    frozenset({"number", "milliseconds"}),
)

Sequences = list[list["Piece"]]
Piece = str | Sequences  # a word, or what is in brackets: the alternatives


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `flags` are those of Redis, optional, multiple and multiple_token."""

    name: str
    kind: str
    token: str = ""
    flags: tuple[str, ...] = ()
    arguments: tuple["Argument", ...] = ()

    def flagged(self, *flags: str) -> "Argument":
        """Return it with more flags."""
        return replace(self, flags=tuple(dict.fromkeys((*self.flags, *flags))))


def arguments_of(synopsis: str) -> tuple[Argument, ...]:
    """Return the arguments of a command."""
    every = [arguments(one) for one in alternatives(iter(PIECES.findall(synopsis))) if one]
    if len(every) > 1:
        return (one_of([together(one) for one in every]),)
    return every[0] if every else ()


def alternatives(pieces: Iterator[str]) -> Sequences:
    """Read pieces up to a closing bracket or the end."""
    found: Sequences = [[]]
    for piece in pieces:
        if piece == "]":
            break
        if piece == "|":
            found.append([])
        else:
            found[-1].append(alternatives(pieces) if piece == "[" else piece)
    return found


def arguments(pieces: Sequence[Piece]) -> tuple[Argument, ...]:
    """Return the arguments of pieces one after the other."""
    found: list[Argument] = []
    at = 0
    while at < len(pieces):
        piece = pieces[at]
        if isinstance(piece, list) or piece == MORE:
            added(found, piece if isinstance(piece, list) else [[MORE]], pieces[:at])
            at += 1
        elif is_token(piece) and is_value(pieces, at + 1):
            found.append(valued(str(pieces[at + 1]), piece))
            at += 2
        else:
            found.append(Argument(piece.lower(), "pure-token", piece) if is_token(piece) else valued(piece))
            at += 1
    return tuple(found)


def added(found: list[Argument], inside: Sequences, before: Sequence[Piece]) -> None:
    """Add what is in brackets: more of what came before it, or an argument that may be left out."""
    choices = [[piece for piece in one if piece != MORE] for one in inside]
    several = MORE in inside[0]
    if several and found and choices[0] == list(before[len(before) - len(choices[0]) :]):
        found[-1] = found[-1].flagged("multiple", *(("multiple_token",) if len(choices[0]) > 1 else ()))
        return
    told = [together(arguments(one)) for one in choices if one]
    if told:
        one = told[0] if len(told) == 1 else one_of(told)
        found.append(one.flagged("optional", *(("multiple",) if several else ())))


def one_of(choices: Sequence[Argument]) -> Argument:
    """Return arguments of which one is given."""
    return Argument(choices[0].name, "oneof", "", (), tuple(choices))


def together(found: Sequence[Argument]) -> Argument:
    """Return arguments as one."""
    return found[0] if len(found) == 1 else Argument(found[0].name, "block", "", (), tuple(found))


def valued(name: str, token: str = "") -> Argument:
    """Return an argument that is a value."""
    kind = "integer" if name in WHOLE else "double" if name in REAL else "string"
    return Argument(name, "key" if name == "key" else kind, token)


def is_token(piece: Piece) -> bool:
    """Whether a piece is said as it stands."""
    return isinstance(piece, str) and piece == piece.upper()


def is_value(pieces: Sequence[Piece], at: int) -> bool:
    """Whether there is a value at a place."""
    return at < len(pieces) and isinstance(pieces[at], str) and not is_token(pieces[at])
