"""Command: one command that is answered here, and what `COMMAND` tells of it."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from server.access import Scope
from server.resp.caller import Caller, Word

Words = Sequence[bytes]
Answer = Callable[[Caller, Words], Coroutine[Any, Any, bytes]]
Turned = Callable[[Any], bytes | Coroutine[Any, Any, bytes]]


@dataclass(frozen=True, slots=True)
class Queued:
    """What stands in for a command inside MULTI: a command of Redis, and what becomes of its reply in EXEC.

    `turned` gets the reply as redis-py reads it (an error as a ResponseError) and returns the
    bytes that take its place, perhaps later; None where it stays as it is. It raises nothing.
    """

    command: Sequence[Word]
    turned: Turned | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    `answer` gets the words after the name and returns the encoded reply. `arity` counts the name
    too; negative, it is the least. `least` is how many words it goes well with at the least where
    it refuses fewer in words of its own, 0 where its arity says that. `keys` are the first, the
    last and the step of the words that are keys, (0, 0, 0) without any; `names` finds them where
    they move. `queued` says what it is inside MULTI; without it it is refused there. `alongside`
    says that it changes nothing, so that those of one pipeline are answered side by side.
    """

    name: str
    arity: int
    answer: Answer
    summary: str
    synopsis: str = ""
    flags: tuple[str, ...] = ()
    keys: tuple[int, int, int] = (0, 0, 0)
    names: Callable[[Words], list[bytes]] | None = None
    queued: Callable[[Caller, Words], Queued] | None = None
    alongside: bool = False
    scope: Scope = "admin"
    since: str = "1.0.0"
    group: str = "ai"
    least: int = 0

    @property
    def told_arity(self) -> int:
        """The arity that clients are told: no fewer words go well."""
        return -self.least if self.least else self.arity

    def fits(self, count: int) -> bool:
        """Whether so many words, the name among them, may be it."""
        return count >= -self.arity if self.arity < 0 else count == self.arity
