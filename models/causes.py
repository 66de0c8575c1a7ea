"""What is behind an error: what it was raised from, or came up while it was dealt with."""

from typing import TypeVar

Found = TypeVar("Found", bound=BaseException)


def cause(error: BaseException | None, *kinds: type[Found]) -> Found | None:
    """Return the nearest of these kinds among an error and all that is behind it, None where there is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, kinds):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
