"""A real server behind the rewriting alone: asked in bytes, or by a client of its own through a port.

with Upstream(server, wire) as upstream:
    upstream.raw(b"COMMAND", b"COUNT")        what Redis says, as bytes
    upstream.rewritten(b"COMMAND", b"COUNT")  the same with the commands in it
with relayed(server, commands, sections) as port: ...
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiredis

from models.encoding import encoded
from server.resp.catalog.info import Sections
from server.resp.catalog.rewriting import asked, concerns, rewritten
from server.resp.catalog.spans import end_of
from server.resp.commands.command import Command
from server.resp.wire.replies import RESP2, RESP3, Encoder

READ_BYTES = 1 << 20
REPLY_SECONDS = 20.0


class Upstream:
    """One connection to a server that speaks one of the two protocols."""

    def __init__(
        self, path: Path, wire: Encoder, commands: Mapping[bytes, Command], sections: Sections | None = None
    ) -> None:
        self.wire, self.commands, self.sections = wire, commands, sections
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(REPLY_SECONDS)
        self._socket.connect(str(path))
        if wire is RESP3:
            self.raw(b"HELLO", b"3")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._socket.close()

    def raw(self, *words: bytes) -> bytes:
        """Return the reply of the server."""
        self._socket.sendall(encoded(words))
        data = b""
        while True:
            data += self._socket.recv(READ_BYTES)
            with suppress(ValueError):  # it is not whole yet
                end = end_of(data, 0)
                if end <= len(data):
                    assert end == len(data)
                    return data

    def rewritten(self, *words: bytes) -> bytes:
        """Return the reply that a client gets."""
        if not concerns(words):
            return self.raw(*words)
        sent = asked(words, self.commands)
        reply = self.raw(*sent) if sent is not None else b""
        return rewritten(words, reply, self.wire, self.commands, self.sections)


def read(reply: bytes) -> Any:
    """Return a reply as hiredis reads it; it must be exactly one."""
    reader: Any = hiredis.Reader(encoding="utf-8")
    reader.feed(reply)
    found = reader.gets()
    assert not reader.has_data()
    return found


@contextmanager
def relayed(path: Path, commands: Mapping[bytes, Command], sections: Sections | None = None) -> Iterator[int]:
    """Give a port on loopback where clients are answered by a server, rewritten."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        reader: Any = hiredis.Reader()
        with client, Upstream(path, RESP2, commands, sections) as upstream:
            while data := client.recv(READ_BYTES):
                reader.feed(data)
                while (words := reader.gets()) is not False:
                    client.sendall(upstream.rewritten(*words))
                    if words[0].upper() == b"HELLO" and words[1:2] == [b"3"]:
                        upstream.wire = RESP3

    def accept() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
