"""Commands of very many words: what they say is read beside the event loop, so that nobody waits for it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from server.resp.commands.command import Words

MANY_WORDS = 4096  # take milliseconds to be read
Said = TypeVar("Said")


async def read_by(parse: Callable[[Words], Said], words: Words) -> Said:
    """Return what words say, or raise what reading them raises."""
    return parse(words) if len(words) <= MANY_WORDS else await asyncio.to_thread(parse, words)
