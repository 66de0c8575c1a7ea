"""The words of a line that bash completes: bash ends a word at a colon, where a name and its version go on."""

from collections.abc import Sequence
from dataclasses import dataclass

COLON = ":"


@dataclass(frozen=True, slots=True)
class Typed:
    """The words of a line up to the cursor, as a person means them.

    Of the last one, which is being typed, `before` is what bash keeps as it is: all up to its last colon.
    """

    words: tuple[str, ...]
    before: str = ""


def typed(words: Sequence[str]) -> Typed:
    """Return the words of a line from those that bash makes of it: `churn`, `:`, `2` is churn:2."""
    whole: list[str] = []
    goes_on = False
    for word in words:
        colons = bool(word) and not word.strip(COLON)
        if whole and (colons or (goes_on and word)):
            whole[-1] += word
        else:
            whole.append(word)
        goes_on = colons
    if not whole or whole[-1] == words[-1]:
        return Typed(tuple(whole))
    before, _, rest = whole[-1].rpartition(COLON)
    return Typed((*whole[:-1], rest), before + COLON)
