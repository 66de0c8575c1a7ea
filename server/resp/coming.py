"""What of one client is still coming: kept while it may be, refused and dropped where it finds no room or stops."""

import asyncio

from server.resp.answering import Answering
from server.resp.passing import CLIENT, REDIS
from server.resp.refusals import Refused
from server.resp.room import no_room
from server.resp.service import Service
from server.resp.wire.frames import Bytes, Cut, Malformed, Rest, TooLong

INPUT_BYTES = 1 << 20  # held while something else has its turn; then the client is not read from
UNKNOWN_BYTES = 1 << 16  # of a command of somebody who has not said who they are
LONG_BYTES = 1 << 20  # a command of ours that is longer needs room that all clients share
STEP_BYTES = 1 << 18  # of it that come between looks whether there still is room
TURN_WORDS = 4096  # of one command still to come, from which on others have their turn between parts of it
STOPPED_SECONDS = 30.0  # in which as many bytes more have to come


class Coming(Answering):
    """The side of a connection that its client's bytes are on, as long as they are no whole command."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._input: Bytes = b""
        self._at = 0  # of which so much has been begun
        self._need = 0  # bytes of input before it is worth while to look
        self._part: Cut | None = None  # what is next in the input, as far as it was looked at
        self._breathing = False  # others have their turn
        self._looking: asyncio.TimerHandle | None = None  # whether more of a long command has come

    def _moved(self, by: int) -> None:
        """Take note that so much of the beginning of the input is gone."""
        self._need -= by
        if self._part is not None:
            self._part.moved(-by)

    def _keep(self, data: Bytes, at: int) -> None:
        """Keep what was not begun; what was is dropped once it is worth while."""
        if at >= len(data):
            self._input, self._at = b"", 0
        elif at > INPUT_BYTES:
            self._input, self._at = data[at:], 0
            self._moved(at)
        else:
            self._at = at

    def _resume(self) -> None:
        """Read from the client again, unless something is full."""
        full = self._full or self._breathing or (self._held and len(self._input) - self._at > INPUT_BYTES)
        if self._stopped and not full and not self.transport.is_closing():
            self._stopped = False
            self.transport.resume_reading()

    def _awaited(self, at: int, one: Cut) -> int:
        """Wait for the rest of a command that is looked at whole.

        Raises: Malformed, it is longer than is taken.
        """
        self._need = -one.end
        most, here = self._most_bytes(), len(self._input)
        if max(self._need, here) - at > most:
            raise TooLong(f"{named(one)} is longer than {most} bytes")
        self._need = min(self._need, here + STEP_BYTES)
        if here - at > LONG_BYTES:
            if not self.finds_room(here - at):
                return self._refused(at, one, no_room(named(one), self.service.room))
            if self._looking is None:
                self._look_later()
        self._breathe(one.left)
        self._part = one
        return at

    def _breathe(self, words: int) -> None:
        """Let others have their turn where so many words are still to come that to look at them takes its time."""
        if words > TURN_WORDS:
            self._stop()
            self._breathing = True
            asyncio.get_running_loop().call_soon(self._breathed)

    def _breathed(self) -> None:
        self._breathing = False
        self._resume()

    def drop(self) -> None:
        """End now."""
        self.transport.abort()

    def came(self) -> None:
        """Take note that no long command is still coming."""
        super().came()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look_later(self) -> None:
        later = asyncio.get_running_loop().call_later
        self._looking = later(STOPPED_SECONDS, self._look, self._coming)

    def _look(self, before: int) -> None:
        """Keep no long command of which too little came; a client who is not to be told so yet leaves."""
        self._looking = None
        if not self._coming or self.transport.is_closing():
            return
        one, at = self._part, self._at
        if self._coming > before or self._held or self._full & REDIS or one is None:
            self._look_later()
        elif self._full & CLIENT or not self.free():
            self.drop()
        else:
            self._keep(self._input, self._refused(at, one, stopped(one)))
            self._part = None

    def _refused(self, at: int, one: Cut, error: Refused) -> int:
        """Refuse a command that finds no room, in its turn, and keep nothing of it."""
        self.came()
        if not self.free():
            self._held, self._part = True, one
            return at
        self.refuse(error)
        self._need, self._unwanted = 0, Rest(one.words)
        return self._unwanted.take(self._input, one.at)

    def _dropped(self, data: Bytes, at: int, rest: Rest) -> int:
        """Keep nothing of what is still to come of a command that was refused.

        Raises: Malformed.
        """
        self._unwanted = None
        try:
            after = rest.take(data, at)
        except Malformed as error:
            error.beyond_redis = True
            raise
        self._breathe(rest.words)
        if not rest.done:
            self._unwanted = rest
        return after

    def _most_bytes(self) -> int:
        """Return how long one of our commands may be: a model with all rights, else a request as over HTTP."""
        if self.session.passes:
            return self.service.own_bytes
        return self.service.engine.limits.body_bytes if self.session.scopes else UNKNOWN_BYTES


def named(one: Cut) -> str:
    """Return what a command is called, as an error says it."""
    return one.name.decode("ascii", "replace")


def stopped(one: Cut) -> Refused:
    """Return the error of a long command that stopped coming."""
    return Refused(
        f"TIMEOUT less than {STEP_BYTES} bytes more of {named(one)} came within {STOPPED_SECONDS:g} s; send it again"
    )
