"""Entries of one stream as XREAD and XREADGROUP give them, in either protocol."""

from typing import Any


def read_entries(replies: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # RESP2 list, RESP3 map
    """Return the entries of the one stream that was read; none when there are none."""
    if not replies:
        return []
    if isinstance(replies, dict):
        (entries,) = replies.values()
        return list(entries[0]) if entries and isinstance(entries[0], list) else list(entries)
    return list(replies[0][1])
