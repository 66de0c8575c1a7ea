"""What this door refuses in words of its wire."""

from models.errors import InsituError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
IN_TRANSACTION = "ERR Cannot run RedisAI command within a transaction or a LUA script"


class Refused(InsituError):
    """A command that is answered by an error; the message is all of it, its code word first."""

    code = "refused"


def refused(text: str) -> Refused:
    """Return the error of a command under the code word that most have."""
    return Refused(f"ERR {text}")
