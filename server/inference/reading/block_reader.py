"""BlockReader: keys -> tensors of those that are plainly well; it learns how its keys are best asked for."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import hiredis
import numpy as np

from models.asking import Asked
from models.assembly import Plan
from models.blocks import PlanBlocks
from models.errors import InsituError, RedisUnavailable
from models.hash_blocks import HashBlock
from models.replies import Found, gathered, parsed
from models.tensors import Tensor
from models.vector_blocks import VectorBlock
from server.inference.reading.bulk import BulkReader, Share
from server.inference.reading.faults import fault_of
from server.inference.reading.portions import read

TEXT_ROWS = 2048  # of one read of hashes: fewer make numpy's calls dear, more fall out of a core's cache
# Keys of a portion where others must be answered in between: Redis works off what one connection has sent in one go.
SMALL_PORTIONS = {HashBlock: 16, VectorBlock: 96}
REPLY_BYTES = 64 << 20  # of one read, beside raw features: hashes that are longer are not read whole
SAMPLE_ROWS = 64

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
Block = tuple[dict[str, Tensor], Sequence[int], Sequence[int]]


@dataclass(slots=True)
class Piece:
    """One read: some rows of one source, from one node."""

    source: int
    rows: Sequence[int]
    share: Share
    asked: Asked


class Narrowed(Exception):
    """The wide way of asking was given up: the block is to be read anew."""


class BlockReader:
    """Reads the keys of one plan."""

    def __init__(
        self, plan: Plan, reader: BulkReader, beside: Executor, row_bytes: int, *, gentle: bool = False
    ) -> None:
        """Take a plan; texts become numbers in `beside`, so that the loop is free meanwhile.

        A `gentle` one asks for so little at a time that nobody else waits long for Redis.
        """
        self.plan = plan
        self._reader = reader
        self._blocks = PlanBlocks(plan)
        self._executor = beside
        self._most = REPLY_BYTES + 2 * TEXT_ROWS * row_bytes
        self._texts = any(isinstance(one, HashBlock) for one in self._blocks.sources)
        for one in self._blocks.sources if gentle else ():
            one.portion = min(one.portion, SMALL_PORTIONS[type(one)])
        self._unseen = [one for one in self._blocks.sources if isinstance(one, HashBlock)]

    async def read(self, keys: Sequence[str]) -> Block:
        """Return the tensors of the rows that are plainly well, which these are, and which are not.

        Raises: RedisUnavailable, RedisRefused.
        """
        live, columns = await self._beside(self._blocks.keyed, keys)
        if not live:
            return {}, [], range(len(keys))
        await self._reader.ready()
        await self._look(columns)
        found = await self._found(columns)
        feeds, good = await self._beside(self._blocks.feeds, found)
        if len(live) == len(keys) and good.all():
            return feeds, live, ()
        at = np.asarray(live)[good]
        odd = np.setdiff1d(np.arange(len(keys)), at, assume_unique=True)
        return feeds, at.tolist(), odd.tolist()

    async def _beside(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Work on texts beside the loop, and on what takes no longer than handing it over right here."""
        if not self._texts:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    async def _look(self, columns: Sequence[Sequence[str]]) -> None:
        """See in what kind of hashes some keys are, once there are any."""
        for source in tuple(self._unseen):
            keys = columns[self._blocks.sources.index(source)]
            sample = keys[:: -(-len(keys) // SAMPLE_ROWS)]
            replies = []
            for share in self._reader.shares(sample):
                some = sample if share.rows is None else [sample[at] for at in share.rows]
                reply = await read(share.ask, [source.looked_at(some)], self._most)
                if isinstance(reply, InsituError):
                    raise reply
                replies += parsed(reply, source.looks * len(some))
            if (fault := fault_of(replies)) is not None and isinstance(fault, RedisUnavailable):
                raise fault
            if source in self._unseen and source.judge(replies):
                self._unseen.remove(source)

    async def _found(self, columns: Sequence[Sequence[str]]) -> list[Found]:
        """Read each source, again where its wide way was given up on."""
        while True:
            shares = [self._reader.shares(keys) for keys in columns]
            pieces = await self._beside(self._pieces, columns, shares)
            replies = await asyncio.gather(*map(self._reply, pieces))
            try:
                return await self._beside(self._decoded, len(columns[0]), pieces, replies)
            except Narrowed:
                continue

    async def _reply(self, piece: Piece) -> bytearray | InsituError:
        return await read(piece.share.ask, piece.asked.portions, self._most)

    def _pieces(self, columns: Sequence[Sequence[str]], shares: Sequence[Sequence[Share]]) -> list[Piece]:
        """Part a block into reads."""
        pieces = []
        for source, (keys, every) in enumerate(zip(columns, shares, strict=True)):
            block = self._blocks.sources[source]
            most = TEXT_ROWS if isinstance(block, HashBlock) else len(keys)
            for share in every:
                own = range(len(keys)) if share.rows is None else share.rows
                for at in range(0, len(own), most):
                    rows = own[at : at + most]
                    some = (
                        keys[rows.start : rows.stop]
                        if isinstance(rows, range)
                        else [keys[row] for row in rows]
                    )
                    asked = block.asked(some, self._reader.apart)
                    pieces.append(Piece(source, rows, share, asked))
        return pieces

    def _decoded(
        self, count: int, pieces: Sequence[Piece], replies: list[bytearray | InsituError]
    ) -> list[Found]:
        """Read what came for each piece.

        Raises: RedisUnavailable, RedisRefused; Narrowed.
        """
        faults = [reply for reply in replies if isinstance(reply, InsituError)]
        parts: list[list[tuple[Sequence[int], Found]]] = [[] for _ in self._blocks.sources]
        for at, piece in enumerate(pieces):
            reply = replies[at]
            replies[at] = bytearray()
            if isinstance(reply, InsituError):
                self._check(piece, reply, alone=len(faults) == len(pieces))
            else:
                parts[piece.source].append((piece.rows, self._read(piece, reply)))
        if not all(parts):
            raise faults[0]
        return [gathered(count, some) for some in parts]

    def _read(self, piece: Piece, reply: bytearray) -> Found:
        try:
            found = piece.asked.read(reply)
        except (ValueError, hiredis.ProtocolError) as error:
            raise RedisUnavailable(f"what came is no reply of Redis: {error}") from error
        if found.errors and (fault := fault_of(found.errors)) is not None:
            self._check(piece, fault, alone=True)
        if piece.asked.wide and not found.pays:
            self._blocks.sources[piece.source].wide = False
        return found

    def _check(self, piece: Piece, fault: InsituError, alone: bool) -> None:
        """Give the wide way up that may be to blame; a node that is away is the affair of its own keys.

        Raises: the fault; Narrowed.
        """
        if piece.asked.wide:
            self._blocks.sources[piece.source].wide = False
            raise Narrowed
        if alone or not isinstance(fault, RedisUnavailable):
            raise fault
