"""Predictions of one key each that came in one moment, from any number of clients, asked for together.

What a request costs is then paid once a moment. Where not all can be answered at once, each is asked
for by itself, and gets the error that is its own.
"""

from functools import partial

from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import TOO_MUCH_AT_ONCE
from server.resp.errors import answer as error_reply
from server.resp.gathered import Gathered, Group, Turn, hand_out
from server.resp.rows import replies_of
from server.resp.wire.replies import Encoder

HEAD = b"*3\r\n$14\r\nINSITU.PREDICT\r\n"
WORDS = 7  # lines of a prediction of one key
LISTED = b"*1\r\n"  # before the one row of a reply
Target = tuple[bytes, Encoder]


class Joined:
    """Asks for groups of keys, each of one model, and hands their answers out."""

    def __init__(self, engine: Engine) -> None:
        self._predictor = engine.predictor
        self._gathered: Gathered[Target] = Gathered(engine, self._ask)

    def take(self, model: bytes, keys: list[str], wire: Encoder, turn: Turn) -> None:
        """Answer predictions of one client; the turn's slot is filled with all their replies."""
        target = model, wire
        group = self._gathered.group(target)
        group.parts += keys
        self._gathered.add(target, group, turn)

    def _ask(self, target: Target, group: Group) -> None:
        model = target[0].decode("utf-8", "replace")
        ask = Ask(model, None, group.parts, callers=group.count)
        self._predictor.submit(ask, partial(self._answered, target, group))

    def _answered(self, target: Target, group: Group, outcome: Answer | Exception) -> None:
        """Hand out the answer to a group; where it was too much at once, each is asked for by itself."""
        self._gathered.done(target)
        if isinstance(outcome, TOO_MUCH_AT_ONCE) and group.count > 1:
            self._one_by_one(target, group)
        elif isinstance(outcome, Exception):
            hand_out(group.turns, [error_reply(outcome)] * group.count)
        else:
            hand_out(group.turns, [LISTED + one for one in replies_of(target[1], outcome)])

    def _one_by_one(self, target: Target, group: Group) -> None:
        every = Apart(group, target[1])
        model = target[0].decode("utf-8", "replace")
        for at, key in enumerate(group.parts):
            self._predictor.submit(Ask(model, None, (key,)), partial(every.heard, at))


class Apart:
    """Keys of a group that are asked for one by one."""

    def __init__(self, group: Group, wire: Encoder) -> None:
        self._turns, self._wire, self._left = group.turns, wire, group.count
        self._replies = [b""] * group.count

    def heard(self, at: int, outcome: Answer | Exception) -> None:
        """Take the answer for one of them."""
        if isinstance(outcome, Exception):
            self._replies[at] = error_reply(outcome)
        else:
            self._replies[at] = LISTED + replies_of(self._wire, outcome)[0]
        self._left -= 1
        if not self._left:
            hand_out(self._turns, self._replies)


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
