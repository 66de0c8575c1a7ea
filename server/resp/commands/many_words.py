"""Commands of very many words: what they say is read beside the event loop, so that nobody waits for it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

MANY_WORDS = 4096  # take milliseconds to be read
Said = TypeVar("Said")
Word = TypeVar("Word")


async def read_by(parse: Callable[[Sequence[Word]], Said], words: Sequence[Word]) -> Said:
    """Return what words say, or raise what reading them raises."""
    return parse(words) if len(words) <= MANY_WORDS else await asyncio.to_thread(parse, words)
