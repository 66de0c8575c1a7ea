"""Ways: how Redis is asked for the rows of one plan: as the plan says, or at less cost; pure, no I/O.

    HRANDFIELD in place of HMGET    of wide hashes of which most is wanted: HGETALL with a bound on what it gives
    MGET in place of many GET       where one Redis holds all keys

    way = ways.of(prepared, together)       None: as the plan says, `prepared.encoded()`
    ... way.commands(prepared) ...          whoever has a connection sends them
    replies, again = way.read(prepared, replies)

`replies` are as the plan takes them, but for the rows `again`, which are to be asked for as it says.
Hashes are asked for whole once some were seen: `probe` says which, and `saw` takes what came.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.exceptions import ResponseError

from models.asking import mget, portions_of
from models.assembly import Plan, Prepared
from models.denials import of_a_key
from models.encoding import Form
from models.raw_sources import VectorReader
from models.text_sources import HashReader
from models.vector_blocks import together
from models.whole_hashes import WholeHash

LEAST_FIELDS = 16  # with fewer Redis gains less than the names of the fields cost here
SPARE = 1.5  # fields that a hash may hold for one that is wanted, or Redis gains nothing
PROBES = 16  # hashes that are seen before others of their kind are asked for whole
UNWANTED_BYTES = 1 << 14  # that a hash may hold beside what is wanted
# More than 1 row in 32 that has to be asked for again: those beside it wait too long for its second answer.
ODD_SHARE = 32
ODD_ROWS = 256  # from so many rows on
REMEMBERED_ROWS = 8192
NO_HASH = "WRONGTYPE"
LISTS = {list}


class Way(Protocol):
    """One way of asking for rows."""

    def commands(self, prepared: Prepared) -> list[bytes]:
        """Return what is asked, encoded."""

    def read(self, prepared: Prepared, replies: Sequence[Any]) -> tuple[list[Any], Sequence[int]]:
        """Return replies as the plan takes them, and which live rows are to be asked for again."""

    def refused(self) -> None:
        """Note that Redis does not let us ask so."""

    def lost(self) -> None:
        """Note that Redis did not answer."""


class Ways:
    """The ways of one plan, and what was learnt of its keys."""

    def __init__(self, plan: Plan) -> None:
        self._forms = plan.forms
        self._whole: Whole | None = None
        self.unseen = {
            at: Kind([name.encode() for name in reader.names])
            for at, reader in enumerate(plan.readers)
            if isinstance(reader, HashReader) and len(reader.names) >= LEAST_FIELDS
        }
        """The kinds of hashes of which not enough were seen, by the places of their sources."""
        first = plan.readers[0] if plan.readers else None
        self._mget = Together(together(first.size)) if isinstance(first, VectorReader) else None

    def of(self, prepared: Prepared, together: bool) -> Way | None:
        """Return the way to ask for rows, None for the plan's own; `together`: one Redis has all keys."""
        if self._whole is not None:
            return self._whole
        mget = self._mget
        if mget is not None and together and len(prepared.lone) > 1 and mget.size > 1 and mget.worth.pays:
            return mget
        return None

    def probe(self, prepared: Prepared) -> tuple[list[int], list[bytes]]:
        """Return the places of sources of which one hash is to be looked at, and what is asked."""
        places, keys = [*self.unseen], prepared.keys[0]
        return places, [self.unseen[at].form.encoded(keys[at]) for at in places]

    def saw(self, at: int, reply: Any) -> None:
        """Take what came for a probe; a key that is no hash says nothing."""
        kind = self.unseen.get(at)
        if kind is None:
            return
        if unexpected(reply):
            del self.unseen[at]
        elif type(reply) is list and reply:
            kind.seen = 0 if kind.heavy(reply, kind.chosen(reply)) else kind.seen + 1
            if kind.seen >= kind.needed:
                del self.unseen[at]
                self._ask_whole({**self._kinds, at: kind})

    def narrow(self, at: int) -> None:
        """Ask for the fields of a source, from now on."""
        self._ask_whole({place: kind for place, kind in self._kinds.items() if place != at})

    def doubt(self, at: int) -> None:
        """Ask for the fields of a source, until twice as many hashes were seen as before."""
        kind = self._kinds.get(at)
        if kind is not None:
            self.narrow(at)
            self.unseen[at] = kind.doubted()

    @property
    def _kinds(self) -> "Mapping[int, Kind]":
        return {} if self._whole is None else self._whole.kinds

    def _ask_whole(self, kinds: "Mapping[int, Kind]") -> None:
        self._whole = Whole(self, self._forms, kinds) if kinds else None


class Kind(WholeHash):
    """The hashes of one source: how they are asked for whole, and whether that pays."""

    def __init__(self, names: Sequence[bytes], needed: int = PROBES) -> None:
        """Take the wanted fields, and how many hashes are to be seen first."""
        super().__init__(names)
        self.most = int(SPARE * len(names))
        self.form = Form("HRANDFIELD", self.most, "WITHVALUES")
        self.needed, self.seen = needed, 0
        self.worth = Worth()

    def doubted(self) -> "Kind":
        """Return the same of which twice as many are to be seen."""
        return Kind(self.names, 2 * self.needed)

    def incomplete(self, reply: Any) -> bool:
        """Whether a hash may hold more than came of it."""
        return type(reply) is list and len(reply) >= 2 * self.most

    def heavy(self, reply: Any, chosen: Any) -> bool:
        """Whether a hash, of which values were `chosen`, is not worth it: it holds more than is to be spared."""
        if type(reply) is not list or len(reply) <= 2 * len(self.names):
            return False
        return self.incomplete(reply) or too_much(reply, chosen)


class Worth:
    """Whether a way pays, by how many of the last rows were odd."""

    __slots__ = ("_odd", "_rows", "pays")

    def __init__(self) -> None:
        self._rows = self._odd = 0
        self.pays = True

    def note(self, rows: int, odd: int) -> None:
        """Note rows that were read."""
        self._rows += rows
        if self._rows > REMEMBERED_ROWS:
            self._rows, self._odd = self._rows // 2, self._odd // 2
        if odd:
            self._odd += odd
            if self._rows >= ODD_ROWS and self._odd * ODD_SHARE > self._rows:
                self.pays = False


class Whole:
    """HRANDFIELD of some sources: of a small hash it gives everything, of a longer one so many fields and no more."""

    def __init__(self, ways: Ways, forms: Sequence[Form], kinds: Mapping[int, Kind]) -> None:
        """Take the plan's forms, and the kinds of hashes by the places of their sources."""
        self.kinds = kinds
        self._ways = ways
        self._forms = [kinds[at].form if at in kinds else form for at, form in enumerate(forms)]

    def commands(self, prepared: Prepared) -> list[bytes]:
        """Return what is asked, encoded."""
        return prepared.encoded(self._forms)

    def read(self, prepared: Prepared, replies: Sequence[Any]) -> tuple[list[Any], Sequence[int]]:
        """Return replies as HMGET gives them; all rows are asked for again where Redis has no HRANDFIELD."""
        width, result = len(self._forms), [*replies]
        again: set[int] = set()
        for at, kind in self.kinds.items():
            own = result[at::width]
            if set(map(type, own)) != LISTS and any(map(unexpected, own)):
                self.refused()
                return result, range(len(prepared.live))
            chosen = [*map(kind.chosen, own)]
            self._look(at, kind, own, chosen)
            again |= {row for row, reply in enumerate(own) if kind.incomplete(reply) and None in chosen[row]}
            result[at::width] = chosen
        return result, sorted(again)

    def _look(self, at: int, kind: Kind, replies: Sequence[Any], chosen: Sequence[Any]) -> None:
        """Look whether it still pays."""
        heavy = [pair for pair in zip(replies, chosen, strict=True) if kind.heavy(*pair)]
        kind.worth.note(len(replies), len(heavy))
        if not kind.worth.pays or any(too_much(*pair) for pair in heavy):
            self._ways.doubt(at)

    def lost(self) -> None:
        """Note that Redis did not answer: what a hash holds may have been too much."""
        for at in self.kinds:
            self._ways.doubt(at)

    def refused(self) -> None:
        """Note that Redis does not let us ask so."""
        for at in self.kinds:
            self._ways.narrow(at)


class Together:
    """MGET of up to `size` keys a command."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.worth = Worth()

    def commands(self, prepared: Prepared) -> list[bytes]:
        """Return what is asked, encoded."""
        return [*map(mget, portions_of(prepared.lone, self.size))]

    def read(self, prepared: Prepared, replies: Sequence[Any]) -> tuple[list[Any], Sequence[int]]:
        """Return a reply a key; MGET does not tell a key that is absent from one of another type.

        A key that may not be read has the whole MGET refused: those of its MGET are asked for one by one.
        """
        rows = len(prepared.lone)
        if set(map(type, replies)) != LISTS:
            if not all(type(reply) is list or of_a_denied_key(reply) for reply in replies):
                self.refused()
                return [None] * rows, range(rows)
            return self._parted(prepared, replies)
        values = replies[0] if len(replies) == 1 else [one for reply in replies for one in reply]
        again = () if all(values) else [row for row, value in enumerate(values) if value is None]
        self.worth.note(rows, len(again))
        return values, again

    def _parted(self, prepared: Prepared, replies: Sequence[Any]) -> tuple[list[Any], Sequence[int]]:
        """Return the same where some MGET was refused for a key."""
        values: list[Any] = []
        for keys, reply in zip(portions_of(prepared.lone, self.size), replies, strict=True):
            values += reply if type(reply) is list else [None] * len(keys)
        refused = sum(type(reply) is not list for reply in replies)
        self.worth.note(len(values), refused)
        return values, [row for row, value in enumerate(values) if value is None]

    def refused(self) -> None:
        """Note that Redis does not let us ask so."""
        self.worth.pays = False

    def lost(self) -> None:
        """Note that Redis did not answer: one command or many, that is the same."""


def too_much(reply: list[bytes], chosen: Sequence[bytes | None]) -> bool:
    """Whether a hash brought many bytes beside the values that were chosen of it."""
    wanted = sum([len(value) for value in chosen if value is not None])
    return sum(map(len, reply)) > UNWANTED_BYTES + wanted


def unexpected(reply: Any) -> bool:
    """Whether a reply says something of the command, and not of its key."""
    return isinstance(reply, ResponseError) and not (str(reply).startswith(NO_HASH) or of_a_denied_key(reply))


def of_a_denied_key(reply: Any) -> bool:
    """Whether a reply says that a key of its command may not be read."""
    return isinstance(reply, ResponseError) and of_a_key(str(reply))
