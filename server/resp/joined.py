"""Predictions of one key each that came in one moment, from any number of clients, asked for together.

What a request costs is then paid once a moment. Where not all can be answered at once, each is asked
for by itself, and gets the error that is its own.
"""

import asyncio
from functools import partial

from models.errors import InsituError
from server.inference.asking import Answer, Ask
from server.inference.blocks import Block
from server.inference.engine import Engine
from server.inference.errors import OF_ONE_KEY
from server.inference.loading import Serving
from server.resp.errors import answer as error_reply
from server.resp.gathered import Gathered, Group, hand_out
from server.resp.rows import replies_of
from server.resp.slots import Slot
from server.resp.wire.replies import Encoder

HEAD = b"*3\r\n$14\r\nINSITU.PREDICT\r\n"
BLOCK_ROWS = 48  # from so many on keys are read as a block
MOST_LOAD = 0.5  # of a queue: nearer to its end each key is told by itself that it is full
WORDS = 7  # lines of a prediction of one key
LISTED = b"*1\r\n"  # before the one row of a reply
Target = tuple[str, Encoder]


class Joined:
    """Asks for groups of keys, each of one model, and hands their answers out."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._predictor = engine, engine.predictor
        self._gathered: Gathered[Target] = Gathered(engine, self._ask)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, model: str, keys: list[str], wire: Encoder, slot: Slot) -> None:
        """Answer predictions of one client; their slot is filled with all their replies."""
        target = model, wire
        group = self._gathered.group(target)
        group.parts += keys
        self._gathered.add(target, group, slot)

    def _ask(self, target: Target, group: Group) -> None:
        serving = self._read_in_blocks(target[0]) if group.count >= BLOCK_ROWS else None
        if serving is None:
            self._submit(target, group)
            return
        task = asyncio.create_task(self._in_block(target, group, serving))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _read_in_blocks(self, model: str) -> Serving | None:
        """Return the version that answers a model, where many of its keys are best read as a block."""
        route = self._engine.catalogue.route(model, None)
        if route is None or route.split is not None or route.shadow is not None:
            return None
        serving = route.serving
        ready = serving.batcher.load <= MOST_LOAD and self._engine.blocks.supports(serving)
        return serving if ready else None

    async def _in_block(self, target: Target, group: Group, serving: Serving) -> None:
        """Read and run many keys at once; the odd ones, or all where that fails, are asked for as ever."""
        name, version = serving.manifest.name, serving.manifest.version
        try:
            block = await self._engine.blocks.read_and_run(serving, group.parts, group.count)
        except InsituError:
            self._submit(target, group)
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            self._gathered.fail(group, error)
            return
        if not block.odd:
            answer = Answer(name, version, block.rows)
            self._gathered.finish(group, partial(replies_of, target[1], answer, LISTED))
            return
        odd = [group.parts[at] for at in block.odd]
        heard = partial(self._odd, target, group, block, Answer(name, version, block.rows))
        self._predictor.submit(Ask(name, version, odd, callers=len(odd)), heard)

    def _odd(
        self, target: Target, group: Group, block: Block, even: Answer, outcome: Answer | Exception
    ) -> None:
        """Hand out the replies of a block, now that its odd keys are answered too."""

        def replies() -> list[bytes]:
            told = [b""] * group.count
            for places, answer in ((block.at, even), (block.odd, outcome)):
                for at, one in zip(places, of_outcome(target[1], answer, len(places)), strict=True):
                    told[at] = one
            return told

        self._gathered.finish(group, replies)

    def _submit(self, target: Target, group: Group) -> None:
        """Ask the core for a group."""
        ask = Ask(target[0], None, group.parts, callers=group.count)
        if group.count > 1:
            ask.apart = OF_ONE_KEY
        self._predictor.submit(ask, partial(self._answered, target, group, ask))

    def _answered(self, target: Target, group: Group, ask: Ask, outcome: Answer | Exception) -> None:
        """Hand out the answer to a group; where it was too much at once, each is asked for by itself."""
        if isinstance(outcome, Exception) and ask.asked_apart(outcome):
            self._gathered.done(group)
            self._one_by_one(target, group)
        else:
            self._gathered.finish(group, partial(of_outcome, target[1], outcome, group.count))

    def _one_by_one(self, target: Target, group: Group) -> None:
        every = Apart(group, target[1])
        for at, key in enumerate(group.parts):
            self._predictor.submit(Ask(target[0], None, (key,)), partial(every.heard, at))


def of_outcome(wire: Encoder, outcome: Answer | Exception, rows: int) -> list[bytes]:
    """Return the reply to each of so many predictions of one key."""
    if isinstance(outcome, Exception):
        return [error_reply(outcome)] * rows
    return replies_of(wire, outcome, LISTED)


class Apart:
    """Keys of a group that are asked for one by one."""

    def __init__(self, group: Group, wire: Encoder) -> None:
        self._slots, self._wire, self._left = group.slots, wire, group.count
        self._replies = [b""] * group.count

    def heard(self, at: int, outcome: Answer | Exception) -> None:
        """Take the answer for one of them."""
        (self._replies[at],) = of_outcome(self._wire, outcome, 1)
        self._left -= 1
        if not self._left:
            hand_out(self._slots, self._replies)


def predictions_in(data: bytes) -> tuple[bytes, list[str], int] | None:
    """Return the model and the keys of predictions of one key each, and where they end.

    None where they are not plainly that: other commands, several models, a key that is no text.
    """
    parts = data.split(b"\r\n")
    count = (len(parts) - 1) // WORDS
    last = count * WORDS
    models, keys = parts[4:last:WORDS], parts[6:last:WORDS]
    if (
        not count
        or parts[0:last:WORDS].count(b"*3") != count
        or parts[2:last:WORDS].count(b"INSITU.PREDICT") != count
        or models.count(models[0]) != count
        or parts[3:last:WORDS].count(b"$%d" % len(models[0])) != count
        or parts[1:last:WORDS].count(b"$14") != count
        or parts[5:last:WORDS] != [b"$%d" % len(key) for key in keys]
    ):
        return None
    try:
        texts = [key.decode() for key in keys]
    except UnicodeDecodeError:
        return None
    end = len(data) - sum(map(len, parts[last:])) - 2 * (len(parts) - last - 1)
    return models[0], texts, end
