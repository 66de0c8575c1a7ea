"""Room for what clients send: of all of them together no more is kept than that."""

from server.resp.refusals import Refused


class Room:
    """Bytes of commands that are here: the long ones that are still coming, and all that are worked on.

    Units: most, bytes that long commands find room in.
    """

    __slots__ = ("most", "taken")

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    @property
    def full(self) -> bool:
        """Whether nothing long finds room."""
        return self.taken >= self.most

    def take(self, size: int) -> None:
        """Take note of so many bytes more."""
        self.taken += size

    def leave(self, size: int) -> None:
        """Take note that so many bytes are gone."""
        self.taken -= size


def no_room(name: str, room: Room) -> Refused:
    """Return the error of a long command that finds no room."""
    return Refused(
        f"BUSY {name} is too long for now: the commands that this server keeps of all its clients have {room.taken} "
        f"bytes together, {room.most} are the most; send it again when some of them are answered"
    )
