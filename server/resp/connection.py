r"""One client: commands in, replies out, in order; what is not ours goes through to Redis byte for byte.

At any time either replies of Redis are awaited, or replies of ours: what comes meanwhile and is for
the other side waits. So one of ours sees everything the client sent before it, and nothing after.

    client -> input -> cut -> through, counted -> Redis
                          \-> ours -> a slot -> the core
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from server.resp.coming import INPUT_BYTES, UNKNOWN_BYTES, Coming
from server.resp.errors import answer as error_reply
from server.resp.passing import CLIENT
from server.resp.service import Service
from server.resp.wire.frames import Bytes, Cut, Foreign, Malformed, Rest, cut, word_end

STREAMED_BYTES = 1 << 16  # a command that is longer goes through in parts
READING_SECONDS = 30.0  # between looks whether a client reads at all
LEAVING_SECONDS = 1.0
BLOCKED_SECONDS = 0.1  # after the client closed its side, Redis still has for what it was asked
STRAIGHT_WORDS = 4  # of a command that is known by its beginning
NO_HEAD = b"\0"  # begins no command
PONG = b"+PONG\r\n"

Special = Callable[["Connection", Bytes, Cut], bool]


class Connection(Coming, asyncio.Protocol):
    """One client's connection."""

    def __init__(self, service: Service, specials: Mapping[bytes, Special]) -> None:
        super().__init__(service)
        self.specials = specials
        self._rest: Rest | None = None
        self._head = NO_HEAD  # of the last command that went through alone
        self._words = 0  # that follow it
        self._waiting: asyncio.TimerHandle | None = None  # for the client to read
        self._reads = False  # it has, since that was looked at

    # The client.

    def connection_made(self, transport: Any) -> None:
        """Begin; Redis is connected to when something is for it."""
        self.transport, self._write = transport, transport.write
        self.service.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._input:
            self._more(data)
        elif after := self.shortcuts.take(data):
            self._input = data[after:]
        elif data.startswith(self._head) and self._straight(data):
            return
        elif self.raw and self.upstream is not None:
            self.upstream.write(data)
        else:
            self._input = data
        if self._held:
            if len(self._input) > INPUT_BYTES:
                self._stop()
        elif self._input and len(self._input) >= self._need:
            self.read()

    def _straight(self, data: bytes) -> bool:
        """Pass on a command like the last one, which went through too, if it is all there and alone; whether it was."""
        upstream, session = self.upstream, self.session
        if upstream is None or self._held or self._full or self._slots.queue or self._rest is not None:
            return False
        if self.raw or not session.is_plain:
            return False
        at = len(self._head)
        try:
            for _ in range(self._words):
                at = word_end(data, at)
                if at <= 0:
                    return False
        except Malformed:  # is said on the long road
            return False
        if at != len(data):
            return False
        self.sent += 1
        upstream.write(data)
        return True

    def _more(self, data: bytes) -> None:
        """Put what came to what is there."""
        at, self._at = self._at, 0
        if isinstance(self._input, bytearray):
            del self._input[:at]
        else:
            self._input = bytearray(self._input[at:])
        self._input += data
        self._moved(at)

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its side, if that takes no time, then end."""
        self.leave()
        if not self.transport.is_closing():
            loop = asyncio.get_running_loop()
            loop.call_later(BLOCKED_SECONDS, self._gone)
            loop.call_later(LEAVING_SECONDS, self.transport.abort)
        return self.transport.get_extra_info("sslcontext") is None

    def _gone(self) -> None:
        """End what is blocked in Redis: nobody is there any more to have what it waits for."""
        if self.got < self.sent:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Take along the connection to Redis and what is worked on."""
        self.service.open.discard(self)
        self._input, self._held = b"", True
        self.came()
        if self._waiting is not None:
            self._waiting.cancel()
        self.let_go()
        self.take_back()
        self.service.give_up(self._tasks)
        if self.upstream is not None:
            self.upstream.leave()
            self.upstream = None

    def pause_writing(self) -> None:
        """Let Redis send no more than the client reads, and begin nothing that makes it more."""
        self._full |= CLIENT
        self._stop()
        if self.upstream is not None:
            self.upstream.quieten()
        if self._waiting is None:
            self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on."""
        self._full &= ~CLIENT
        self._reads = True
        if self._untaken:
            self.note()
        if self.upstream is not None:
            self.upstream.go_on()
        self.read()

    def _wait_for_reader(self) -> None:
        self._reads, left = False, self.transport.get_write_buffer_size()
        self._waiting = asyncio.get_running_loop().call_later(READING_SECONDS, self._still_full, left)

    def _still_full(self, left: int) -> None:
        """Let a client go that has read nothing of its replies for that long, where others find no room for theirs."""
        self._waiting = None
        if not self._full & CLIENT or self.transport.is_closing():
            return
        stuck = not self._reads and self.transport.get_write_buffer_size() >= left
        if stuck and self._untaken and self.service.replies.full:
            self.drop()
        else:
            self._wait_for_reader()

    def leave(self) -> None:
        """End as soon as what was asked has been answered."""
        self._leaving = True
        self._end_if_done()

    # Its commands.

    def read(self) -> None:
        """Pass on and begin what came, as far as it may be by now."""
        if self._reading or self._full or self.transport.is_closing():
            return
        self._held, self._need, self._reading = False, 0, True
        try:
            self._cut_up()
        except Foreign:
            self.transport.abort()
        except Malformed as error:
            self._mistaken(error)
        finally:
            self._reading = False
        self._resume()
        if self._leaving:
            self._end_if_done()

    def _cut_up(self) -> None:
        """Cut the input into commands, and have each begun.

        Raises: Malformed, Foreign.
        """
        data, at = self._input, self._at
        try:
            while at < len(data) and not self.raw and not self._full and not self.transport.is_closing():
                after = self._one(data, at)
                if after == at:
                    break
                at = after
        finally:
            self._keep(data, at)
        if self._full and at < len(data):
            self._held = True
        if self.raw:
            self._pass_all()

    def _pass_all(self) -> None:
        """Pass on everything there is as it is."""
        if self.upstream is not None:
            self.upstream.write(self._input[self._at :])
            self._input, self._at = b"", 0

    def _one(self, data: Bytes, at: int) -> int:
        """Begin what is next in the input; return where it ends, or `at` where it has to wait.

        Raises: Malformed, Foreign.
        """
        if self._rest is not None or self._unwanted is not None:
            return self._continued(data, at)
        one = cut(data, at) if self._part is None else self._part.gone_on(data)
        self._part = None
        if one is None:
            return at
        special = self.specials.get(one.name)
        if special is None:
            return self._plain(data, at, one)
        if one.end <= 0:
            return self._awaited(at, one)
        if special(self, data, one):
            self.came()
            if self._slots:
                self.keep(one.end - at)
            return one.end
        self._held, self._part = True, one
        return at

    def _plain(self, data: Bytes, start: int, one: Cut) -> int:
        """Pass on a command and those after it that are not ours either; return where they end.

        Raises: Malformed, Foreign.
        """
        if not self.session.passes:
            return self._forbidden(data, start, one)
        if not self.open():
            return start
        self.session.skip &= one.words > 0  # to Redis an empty line is the next command
        at, count = start, 0
        while one.end > 0:
            at = one.end
            count += one.words > 0
            following = self._following(data, at)
            if following is None:
                break
            one = following
        else:
            if len(data) - at > STREAMED_BYTES:
                self._rest = Rest(one.words)
                at = self._rest.take(data, one.at)
                count += 1
            else:
                self._need, self._part = min(-one.end, at + STREAMED_BYTES + 1), one
        if at - start == len(data) and count == 1 and self._rest is None:
            self._remember(data, one)
            self.through(data, count)
        elif at > start:
            self.through(data[start:at], count)
        return at

    def _following(self, data: Bytes, at: int) -> Cut | None:
        """Return the next command if it goes through too."""
        try:
            one = cut(data, at) if at < len(data) else None
        except Malformed:  # is said after the replies to those before
            return None
        return None if one is None or one.name in self.specials else one

    def _remember(self, data: Bytes, one: Cut) -> None:
        """Remember how a command begins that went through alone: the next may be like it."""
        if not one.line and 1 < one.words <= STRAIGHT_WORDS:
            self._head = bytes(data[: one.at + len(b"$%d\r\n%b\r\n" % (len(one.name), one.name))])
            self._words = one.words - 1

    def _continued(self, data: Bytes, at: int) -> int:
        """Pass on more of a command whose beginning has gone through, or drop more of one that was refused.

        Raises: Malformed.
        """
        if self._unwanted is not None:
            return self._dropped(data, at, self._unwanted)
        rest, upstream = self._rest, self.upstream
        if rest is None or upstream is None:
            return at
        after = rest.take(data, at)
        upstream.write(data[at:after])
        self._breathe(rest.words)
        if rest.done:
            self._rest = None
        return after

    def _forbidden(self, data: Bytes, start: int, one: Cut) -> int:
        """Refuse a command of somebody who may not reach Redis.

        Raises: Malformed, it is longer than is taken.
        """
        if one.end <= 0:
            if len(data) - start > UNKNOWN_BYTES:
                raise Malformed("unauthenticated bulk length")
            self._need, self._part = -one.end, one
            return start
        if not self.free():
            self._held = True
            return start
        if one.name == b"PING" and one.words == 1 and self.session.scopes:
            self.tell(PONG)
        elif one.words:
            self.fail(self.session.refusal("admin"))
        else:
            self.session.skip = False
        return one.end

    def _mistaken(self, error: Malformed) -> None:
        """Have Redis say what is wrong with what came, or say it, after what was asked before it, and end."""
        if self._rest is None and not self.free():
            self._held = True
        elif not self.session.passes or error.beyond_redis:
            self._write(error_reply(error))
            self.finish()
        elif self.upstream is not None:
            self.raw = True
            self._pass_all()
        else:
            self.open()
