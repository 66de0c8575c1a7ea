"""Fields: the answer of each row in the hash that its features were read from.

A hash that is gone when the answer comes stays gone: a script looks first, in one step with the
write. It is given many keys at once, but one each where they lie in different slots of a cluster.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from models.assembly import Plan
from models.encoding import Form, bulk
from models.errors import BadRequest, KeyMissing, WrongType, listed, shown
from models.jobs import ToField
from models.manifest import Manifest
from models.sources import HashSource
from server.batch.pacing import spans
from server.batch.scored import Scored
from server.batch.targets.sending import (
    WRITE_BYTES,
    bulks,
    check,
    check_but_types,
    encoded_keys,
    errors_in,
    sent,
    wrong_type,
)
from server.batch.targets.target import PartName, Refused
from server.inference.reading.reads import Ask

# KEYS the hashes; ARGV the field, version and time, then a value a hash, then a probability a hash or none.
# A reply a hash: what HSET says, -1 where it is gone.
SCRIPT = """
local field, version, at, rows, said = ARGV[1], ARGV[2], ARGV[3], #KEYS, {}
local version_field, time_field, share_field = field .. '_version', field .. '_time', field .. '_probability'
local shares = #ARGV > 3 + rows
for row, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 0 then
    said[row] = -1
  elseif shares then
    said[row] = redis.pcall('HSET', key, field, ARGV[3 + row], version_field, version, time_field, at,
      share_field, ARGV[3 + rows + row])
  else
    said[row] = redis.pcall('HSET', key, field, ARGV[3 + row], version_field, version, time_field, at)
  end
end
return said
"""
DIGEST = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()  # as Redis names scripts
SCRIPT_ROWS = 128  # of one script: a Redis does nothing else meanwhile, about 0.2 ms
BY_DIGEST, BY_TEXT = ("EVALSHA", DIGEST), ("EVAL", SCRIPT)
GONE = -1
VERSION = "_version"
SUFFIXES = ("", "_probability", VERSION, "_time")


class Fields:
    """NAME, NAME_version and NAME_time, NAME_probability where there is a label; a key's expiry stays."""

    def __init__(self, spec: ToField, ask: Ask, plan: Plan, manifest: Manifest) -> None:
        """Take the field's name.

        Raises: BadRequest, the model reads no hash first, or it reads that field.
        """
        check_field(spec.field, plan, manifest)
        self._ask, self._rows = ask, SCRIPT_ROWS
        self._field, self._version = spec.field.encode(), str(manifest.version).encode()
        self._look = Form("HGET", spec.field + VERSION)

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Set the fields; a key that is gone or no hash is refused."""
        refused: Refused = {}
        for one in scored:
            numbered, bad = one.numbered() if one.ranking.name else (one, {})
            refused |= bad
            replies = await self._written(Arguments(numbered, self._field, self._version))
            for key, reply in zip(numbered.keys, replies, strict=True):
                if not isinstance(reply, int):
                    refused[key] = fault_of(key, reply)
                elif reply == GONE:
                    refused[key] = KeyMissing(key)
        return refused

    async def _written(self, rows: "Arguments") -> list[Any]:
        """Run the script over rows, return a reply each."""
        most = self._rows
        replies = await sent(self._ask, rows.commands(BY_DIGEST, most))
        errors = [str(error) for error in errors_in(replies)]
        if most > 1 and any(error.startswith("CROSSSLOT") for error in errors):
            self._rows = 1
            return await self._written(rows)
        if any(error.startswith("NOSCRIPT") for error in errors):
            replies = await sent(self._ask, rows.commands(BY_TEXT, most))
        check(replies)
        return [reply for some in replies for reply in some]

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Whether each row's hash has an answer of this version."""
        replies = await sent(self._ask, self._look.encoded_for(keys))
        check_but_types(replies)
        return [reply == self._version for reply in replies]

    async def finish(self) -> None:
        """Nothing is left to do."""


class Arguments:
    """What the script is told of rows, as bulk strings."""

    def __init__(self, scored: Scored, field: bytes, version: bytes) -> None:
        labels = scored.labels
        self._keys = bulks(encoded_keys(scored.keys))
        self._same = b"".join(bulks([field, version, scored.time]))
        number = scored.ranking.name is not None
        values = encoded_keys(labels) if labels is not None else scored.shortest if number else scored.answers
        self._values = bulks(values)
        self._shares = bulks(scored.shortest) if labels is not None and number else []

    def commands(self, script: tuple[str, str], rows: int) -> list[bytes]:
        """Return the commands that run a script, each for so many rows at most."""
        result = []
        for span in spans([*map(len, self._values)], rows, WRITE_BYTES):
            keys, values, shares = self._keys[span], self._values[span], self._shares[span]
            count = 3 + len(keys) + 3 + len(values) + len(shares)
            head = b"*%d\r\n%b%b" % (count, b"".join(map(bulk, script)), bulk(len(keys)))
            result.append(b"".join([head, *keys, self._same, *values, *shares]))
        return result


def check_field(field: str, plan: Plan, manifest: Manifest) -> None:
    """Look whether answers can go to a field.

    Raises: BadRequest.
    """
    keyed = plan.view.keyed
    if not keyed or not isinstance(keyed[0], HashSource):
        first = f"reads {keyed[0].key!r} as {keyed[0].kind} first" if keyed else "reads no key"
        raise BadRequest(
            f"answers go to field {shown(field)!r} of the hash that was read, but model {manifest.name!r} "
            f"{first}; let them go to strings, or to a hash of their own"
        )
    read = {name for source in keyed if isinstance(source, HashSource) for name in fields_of(source)}
    taken = [field + suffix for suffix in SUFFIXES if field + suffix in read]
    if taken:
        raise BadRequest(
            f"the answers would go to field {listed(taken)}, which model {manifest.name!r} reads as a feature; "
            f"choose another name than {shown(field)!r}"
        )


def fields_of(source: HashSource) -> list[str]:
    """Return the fields that a source reads."""
    return [one.name for one in source.fields] + ([source.time_field] if source.time_field else [])


def fault_of(key: str, reply: Any) -> WrongType:
    """Return what is wrong with one row.

    Raises: RedisRefused, what Redis said, where no row is at fault.
    """
    if not wrong_type(reply):
        check([reply])
    return WrongType(key, "hash")
