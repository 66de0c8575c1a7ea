"""Room for what clients send and for what they are replied: of all of them together no more is kept than that."""

from server.resp.refusals import Refused


class Room:
    """Bytes that are here: of commands, the long ones still coming and all that are worked on; or of long replies.

    Units: most, bytes that long ones find room in.
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


def no_room_for_replies(room: Room, here: int, most: int, done: str) -> Refused:
    """Return the error of a command whose long reply, or what is read for it, finds no room.

    `done` is told of the command.

    Units: here, bytes that are kept for its client, and most that may be.
    """
    return Refused(
        f"BUSY no room for this reply{done}: those of this client that it has not taken have {here} bytes together, "
        f"{most} are the most; those of all have {room.taken}, {room.most} are the most; take some, and ask for less "
        "at once"
    )
