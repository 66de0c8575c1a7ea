"""Listeners: one listening socket a worker for each door, those of a door on one address.

The kernel deals connections out among the sockets, so that workers get about as many each. They are held
here too: what waits at the socket of a worker that died is taken by the next one, and new connections go
to the others meanwhile. Why so: docs/adr/0008-a-socket-for-each-worker.md
"""

import ctypes
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

log = logging.getLogger(__name__)

BACKLOG = 2048
DEALS_OUT = sys.platform == "linux"  # elsewhere SO_REUSEPORT gives every connection to one socket

# include/uapi/asm-generic/socket.h
SO_ATTACH_REUSEPORT_CBPF = 51
SO_DETACH_REUSEPORT_BPF = 68
# include/uapi/linux/filter.h: struct sock_filter is code, jump if true, jump if false, operand
INSTRUCTION = struct.Struct("=HBBI")
PROGRAM = struct.Struct("@HP")  # struct sock_fprog
LOAD, MODULO, JUMP_IF_EQUAL, RETURN = 0x20, 0x94, 0x15, 0x06
RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM


DOORS = {"grpc": "gRPC", "resp": "the Redis protocol"}  # beside HTTP


class PortRefused(OSError):
    """The port of a door beside HTTP cannot be listened on."""

    def __init__(self, number: int, door: str, port: int) -> None:
        super().__init__(number, os.strerror(number))
        self.door, self.port = door, port


class Listeners:
    """The sockets of every worker; close them, and nobody new is taken in."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.sockets = sockets
        self._chosen: tuple[int, ...] = ()

    @classmethod
    def reserve(cls, host: str, port: int, count: int) -> Self:
        """Listen on an address; port 0 takes a free one.

        The first socket is bound alone, so that an address somebody else listens on is refused, whatever
        that one allows; only then is it opened for the others.

        Raises: OSError, the address is taken or none of this machine's.
        """
        first = bound(host, port)
        if not DEALS_OUT:
            first.listen(BACKLOG)
            return cls([first] * count)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = first.getsockname()[1]
        sockets = [first, *(bound(host, port, shared=True) for _ in range(count - 1))]
        for one in sockets:
            one.listen(BACKLOG)  # in this order the kernel numbers them
        return cls(sockets)

    def prefer(self, answering: Iterable[int]) -> None:
        """Send new connections to the sockets with these indices; to all of them when none is left out.

        Where the system cannot, those of the others wait for their next worker.
        """
        chosen = tuple(sorted(answering))
        if len(chosen) == len(self.sockets):
            chosen = ()
        if not DEALS_OUT or chosen == self._chosen:
            return
        self._chosen = chosen
        try:
            if chosen:
                steer(self.sockets[0], chosen)
            else:
                self.sockets[0].setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
        except OSError as error:
            log.debug("new connections cannot be steered: %s", error)

    def close(self) -> None:
        """Stop listening here; workers that still do read what waits at theirs."""
        for one in self.sockets:
            one.close()


class Doors:
    """The listeners of every door: `http`, and those `beside` it by their names."""

    def __init__(self, host: str, port: int, beside: Mapping[str, int], count: int) -> None:
        """Listen on the ports of the doors, for so many workers; port 0 takes a free one.

        Raises: OSError, the port of HTTP is taken or the address is none of this machine's; PortRefused, another one.
        """
        self.http = Listeners.reserve(host, port, count)
        self.beside: dict[str, Listeners] = {}
        for door, one in beside.items():
            try:
                self.beside[door] = Listeners.reserve(host, one, count)
            except OSError as error:
                self.close()
                raise PortRefused(error.errno or 0, door, one) from error

    @property
    def ports(self) -> dict[str, int]:
        """The ports beside HTTP's by their doors."""
        return {door: one.sockets[0].getsockname()[1] for door, one in self.beside.items()}

    def of(self, index: int) -> tuple[socket.socket, dict[str, socket.socket]]:
        """Return the sockets of one worker: HTTP's, and those beside it by their doors."""
        return self.http.sockets[index], {door: one.sockets[index] for door, one in self.beside.items()}

    def prefer(self, answering: Sequence[int]) -> None:
        """Send new connections to the workers with these indices."""
        for one in (self.http, *self.beside.values()):
            one.prefer(answering)

    def close(self) -> None:
        """Stop listening here."""
        for one in (self.http, *self.beside.values()):
            one.close()


class Held:
    """Ports that are held for the doors beside HTTP until they are opened, where there is one process.

    Each is bound alone, as the first listener is, and only then opened to the others; nobody listens
    on these sockets.
    """

    def __init__(self, host: str, ports: Mapping[str, int]) -> None:
        """Hold ports, by the doors they are for; port 0 takes a free one.

        Raises: PortRefused, one is taken or the address is none of this machine's.
        """
        self._sockets: dict[str, socket.socket] = {}
        for door, port in ports.items():
            try:
                one = self._sockets[door] = bound(host, port)
            except OSError as error:
                self.close()
                raise PortRefused(error.errno or 0, door, port) from error
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    @property
    def ports(self) -> dict[str, int]:
        """The ports by their doors."""
        return {door: one.getsockname()[1] for door, one in self._sockets.items()}

    def close(self) -> None:
        """Hold them no longer."""
        for one in self._sockets.values():
            one.close()


def place(host: str, port: int) -> str:
    """Return an address as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that is bound to an address and does not listen yet."""
    family, address = resolved(host, port)
    one = socket.socket(family)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last server's connections linger
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one


def resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Return which family an address is of, and what a socket is bound to: of a name IPv4 where it has that.

    Raises: OSError, no such name is known.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def steer(one: socket.socket, chosen: Sequence[int]) -> None:
    """Let each new connection to a group of sockets choose one of these at random."""
    instructions = [(LOAD, 0, 0, RANDOM), (MODULO, 0, 0, len(chosen))]
    for drawn, index in enumerate(chosen):
        instructions += [(JUMP_IF_EQUAL, 0, 1, drawn), (RETURN, 0, 0, index)]
    instructions.append((RETURN, 0, 0, chosen[-1]))
    code = ctypes.create_string_buffer(b"".join(INSTRUCTION.pack(*words) for words in instructions))
    program = PROGRAM.pack(len(instructions), ctypes.addressof(code))
    one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program)
