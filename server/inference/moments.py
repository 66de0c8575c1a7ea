"""Moment: what arrived together is worked on together, without another turn of the loop."""

import asyncio
from collections.abc import Callable
from types import TracebackType


class Later:
    """Something to be done when the moment ends, unless it is cancelled."""

    __slots__ = ("_work",)

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work

    def cancel(self) -> None:
        """Leave it undone."""
        self._work = None

    def do(self) -> None:
        """Do it now; its fault stops nothing else."""
        if self._work is None:
            return
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  # told as the loop tells the faults of its callbacks
            context = {"message": "what was put off to the end of a moment failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


class Moment:
    """A stretch of work in which more may still come: `with moment:` around it.

    What is put off with `later` is done at its end, all at once; outside of any moment it has its
    turn of the loop, which costs a system call.
    """

    __slots__ = ("_depth", "_put_off")

    def __init__(self) -> None:
        self._depth = 0
        self._put_off: list[Later] = []

    def later(self, work: Callable[[], None]) -> Later:
        """Put work off to the end of this moment."""
        put_off = Later(work)
        if self._depth:
            self._put_off.append(put_off)
        else:
            asyncio.get_running_loop().call_soon(put_off.do)
        return put_off

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do what was put off, and what that puts off in turn."""
        while self._depth == 1 and self._put_off:
            put_off, self._put_off = self._put_off, []
            for one in put_off:
                one.do()
        self._depth -= 1
