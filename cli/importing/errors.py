"""What may be wrong with a file that is imported; each error names the file, the byte and the cure."""

from pathlib import Path

from models.errors import SHOWN_NAMES, InsituError, listed, shown

OTHER_WAY = "import from the running server instead: insitu import redisai redis://HOST:6379"


class FileDamaged(InsituError):
    """Bytes that no Redis would have written there."""

    code = "file_damaged"

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(
            f"{shown(str(path))} is damaged at byte {offset}: {what}; nothing was written; "
            f"copy the file again after SAVE, or {OTHER_WAY}",
            path=str(path),
            offset=offset,
        )
        self.what = what


class EncodingUnknown(InsituError):
    """An opcode or type of value that this program cannot pass over, so that all after it cannot be read."""

    code = "encoding_unknown"

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(
            f"{shown(str(path))} has {what} at byte {offset}, which this program cannot read past; "
            f"nothing was written; {OTHER_WAY}",
            path=str(path),
            offset=offset,
        )
        self.what = what


class ValueUnreadable(InsituError):
    """One stored value that is no tensor and no model; the others are read."""

    code = "value_unreadable"


class ValueGone(InsituError):
    """One value of a running server that was there when its keys were looked for, and is not any more."""

    code = "value_gone"


class NotAFile(InsituError):
    """A path that leads to none of the files Redis writes."""

    code = "not_a_redis_file"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{shown(str(path))} is no file of Redis ({why}); give an RDB file (dump.rdb), an AOF file, a "
            "directory with an AOF manifest (appendonlydir), or the URL of the running RedisAI",
            path=str(path),
        )


class NoRedisAI(InsituError):
    """A Redis that answers and has no types of RedisAI, so no key can be of one."""

    code = "no_redisai"

    def __init__(self, place: str) -> None:
        super().__init__(
            f"the Redis at {place} has no RedisAI in it, so there is nothing to import; "
            "give the URL of the one that has, or a file that it wrote (dump.rdb)",
            url=place,
        )


class KeysInTheWay(InsituError):
    """Keys of the destination that hold something else."""

    code = "keys_in_the_way"

    def __init__(self, names: list[str]) -> None:
        held = "1 key holds" if len(names) == 1 else f"{len(names)} keys hold"
        super().__init__(
            f"{held} something else already ({listed(names)}); nothing was written; "
            "add --overwrite to replace them, or --match or --db to leave them out",
            keys=names[:SHOWN_NAMES],
            count=len(names),
        )


class AnswersDiffer(InsituError):
    """A model that answers otherwise here than in RedisAI."""

    code = "answers_differ"

    def __init__(self, key: str, how: str) -> None:
        super().__init__(
            f"the model at key {shown(key)!r} answers the same input otherwise than RedisAI ({how}); it was not "
            "imported; import it from a file, without this comparison, if its answers may differ",
            key=key,
        )


class NotMixed(InsituError):
    """The name of a model is that of models which were not stored at its key."""

    code = "not_mixed"
