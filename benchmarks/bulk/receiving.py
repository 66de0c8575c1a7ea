"""Receiving: the bytes of many rows over one socket, thrown away as they come; nobody can read faster in one process.

python -m benchmarks.bulk.receiving SOCKET COMMAND COUNT     COMMAND is MGET, HGETALL or HMGET
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator

from benchmarks.bulk.rows import keys
from benchmarks.features import FIELDS
from models.encoding import encoded

KEYS_A_COMMAND = {"MGET": 16, "HGETALL": 1, "HMGET": 1}
KEYS_A_PART = 4096
MARK = b"end of one part"
BUFFER_BYTES = 1 << 20
PARTS_AHEAD = 3


def parts(command: str, count: int) -> Iterator[bytes]:
    """Give what is sent: commands for a part of the keys, and a mark after each."""
    every = keys("vector" if command == "MGET" else "hash", count)
    fields = FIELDS if command == "HMGET" else ()
    size = KEYS_A_COMMAND[command]
    for start in range(0, count, KEYS_A_PART):
        part = every[start : start + KEYS_A_PART]
        commands = [encoded((command, *part[at : at + size], *fields)) for at in range(0, len(part), size)]
        yield b"".join((*commands, encoded(("ECHO", MARK))))


def received(place: str, command: str, count: int) -> float:
    """Receive the rows, and return the seconds it took."""
    payloads = list(parts(command, count))
    ahead = threading.Semaphore(PARTS_AHEAD)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)

        def send() -> None:
            for payload in payloads:
                ahead.acquire()
                connection.sendall(payload)

        sender = threading.Thread(target=send)
        left = len(payloads)
        started = time.perf_counter()
        sender.start()
        for ended in ends(connection, b"\r\n" + MARK + b"\r\n"):
            left -= ended
            if not left:
                break
            if ended:
                ahead.release(ended)
        return time.perf_counter() - started


def ends(connection: socket.socket, mark: bytes) -> Iterator[int]:
    """Receive, and yield how many marks have ended with what came: a short part may lie behind another."""
    buffer = bytearray(BUFFER_BYTES)
    view = memoryview(buffer)
    kept = 0
    while count := connection.recv_into(view[kept:]):
        filled = kept + count
        yield buffer.count(mark, 0, filled)
        kept = min(len(mark) - 1, filled)
        buffer[:kept] = buffer[filled - kept : filled]
    raise ConnectionError("Redis closed the connection")


def main() -> None:
    """Receive, and write rows and seconds as JSON."""
    place, command, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    received(place, command, min(count, 2 * KEYS_A_PART))
    sys.stdout.write(json.dumps({"rows": count, "seconds": received(place, command, count)}) + "\n")


if __name__ == "__main__":
    main()
