"""Appending: entries added to a stream of Redis once, however often the part they belong to is written.

One script appends the entries of some rows and notes beside the stream, a bit a row, that it did;
a row that is noted is there already, and is left alone.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from models.encoding import Command, bulk
from models.ledger import KEPT_SECONDS
from models.templates import KeyTemplate
from server.batch.pacing import spans
from server.batch.targets.sending import WRITE_BYTES, SharedKey
from server.batch.targets.target import JobRun, PartName
from server.inference.reading.reads import Ask

ROWS = 128  # of one command: some 0.2 ms of Redis' time

# KEYS: stream, notes. ARGV: part, seconds a note is kept, most entries or nothing, words of an entry, then of
# every entry its place in the part and its words.
# Returns how many were appended.
APPEND = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'stream' then
  return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')
end
local noted = {string.byte(redis.call('HGET', KEYS[2], ARGV[1]) or '', 1, -1)}
local words, appended = tonumber(ARGV[4]), 0
for at = 5, #ARGV, words + 1 do
  local place = tonumber(ARGV[at])
  local byte, bit_of_row = math.floor(place / 8) + 1, 2 ^ (place % 8)
  for new = #noted + 1, byte do noted[new] = 0 end
  if bit.band(noted[byte], bit_of_row) == 0 then
    if ARGV[3] == '' then
      redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, at + words))
    else
      redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, at + 1, at + words))
    end
    noted[byte] = noted[byte] + bit_of_row
    appended = appended + 1
  end
end
redis.call('HSET', KEYS[2], ARGV[1], string.char(unpack(noted)))
redis.call('EXPIRE', KEYS[2], ARGV[2])
return appended
"""
KEYS, FACTS = 2, 4


class Appending:
    """One stream that a job appends to."""

    def __init__(
        self, ask: Ask, key: str, templates: Sequence[KeyTemplate], job: JobRun, most: int | None = None
    ) -> None:
        """Take a stream, of which about `most` entries are kept, all of them when not given.

        Raises: BadRequest, the model reads it as features.
        """
        self._stream = SharedKey(ask, key, templates, "stream")
        before: Command = ("EVAL", APPEND, KEYS, key, job.notes(key))
        self._before = b"".join(map(bulk, before))
        self._bound = "" if most is None else most

    async def append(self, name: PartName, keys: Sequence[str], entries: Sequence[bytes], words: int) -> None:
        """Append the entries of some rows of a part: of each its names and values in turn, encoded.

        Raises: BadRequest, the key is of another type; RedisUnavailable, RedisRefused.
        """
        await self._stream.ask([*self._commands(name, keys, entries, words)])

    def _commands(
        self, name: PartName, keys: Sequence[str], entries: Sequence[bytes], words: int
    ) -> Iterator[bytes]:
        facts: Command = (str(name), KEPT_SECONDS, self._bound, words)
        before = self._before + b"".join(map(bulk, facts))
        rows = sorted(zip(name.places(keys), entries, strict=True), key=itemgetter(0))
        encoded = [bulk(place) + entry for place, entry in rows]
        for span in spans([*map(len, encoded)], ROWS, WRITE_BYTES):
            size = 3 + KEYS + FACTS + (1 + words) * (span.stop - span.start)
            yield b"*%d\r\n%b%b" % (size, before, b"".join(encoded[span]))
