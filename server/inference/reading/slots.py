"""Keys to slots to nodes of a Redis Cluster; pure.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ and CLUSTER SLOTS.
"""

from itertools import count
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

__all__ = ["SLOTS", "Address", "owners_in", "slot_of", "tag_beside", "target_of"]

Address = tuple[str, int]
SCRIPTED = (b"EVAL", b"EVALSHA")  # what comes after these is a script, the number of its keys, and they
UNKNOWN_HOSTS = ("", "?")


def slot_of(command: bytes) -> int:
    """Return the slot of an encoded command, whose key comes after its name; that of a script, its first key."""
    _count, _size, name, size, rest = command.split(b"\r\n", 4)
    if name in SCRIPTED:
        _script, _size, _keys, size, rest = past(rest, int(size[1:]))
    return key_slot(rest[: int(size[1:])])


def tag_beside(key: str) -> int:
    """Return the first number in the slot of a key: as a hash tag it puts any other key there."""
    slot = key_slot(key.encode())
    return next(number for number in count() if key_slot(b"%d" % number) == slot)


def past(rest: bytes, size: int) -> list[bytes]:
    """Return a script of that many bytes, the size and number of its keys, the size of the first, and the rest."""
    return [rest[:size], *rest[size + 2 :].split(b"\r\n", 3)]


def owners_in(reply: list[Any], asked: str) -> dict[Address, list[range]]:
    """Return the slots of each primary in a reply to CLUSTER SLOTS.

    A node that does not know its own host is where it was asked.
    """
    owners: dict[Address, list[range]] = {}
    for first, last, primary, *_replicas in reply:
        address = (host_or(primary[0] or b"", asked), int(primary[1]))
        owners.setdefault(address, []).append(range(first, last + 1))
    return owners


def target_of(text: str, asked: str) -> tuple[int, Address]:
    """Return slot and node of `MOVED 3999 127.0.0.1:6381` or `ASK ...`."""
    _kind, slot, place = text.split(" ")[:3]
    host, _, port = place.rpartition(":")
    return int(slot), (host_or(host.encode(), asked), int(port))


def host_or(host: bytes, asked: str) -> str:
    """Return a host as told, or that of whoever told it."""
    told = host.decode()
    return asked if told in UNKNOWN_HOSTS else told
