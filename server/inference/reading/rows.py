"""RowReader: what a request's rows need, asked in the way that costs Redis least; replies as the plan takes them."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from models.assembly import Prepared
from models.denials import of_a_command
from models.errors import InsituError, RedisRefused, RedisUnavailable
from models.ways import Way, Ways
from server.inference.reading.reader import Reader
from server.inference.reading.reads import Done

log = logging.getLogger(__name__)

Outcome = list[Any] | InsituError


class RowReader:
    """Reads prepared rows over one reader."""

    def __init__(self, reader: Reader) -> None:
        self._ask = reader.ask
        self._together = reader.cluster is None

    def read(self, ways: Ways, prepared: Prepared, done: Done) -> bool:
        """Read rows; `done` is told as by `Reader.ask`, later. False where there is nothing to read.

        Raises: as Reader.ask.
        """
        way = ways.of(prepared, self._together)
        commands = prepared.encoded() if way is None else way.commands(prepared)
        if not commands:
            return False
        self._ask(commands, done if way is None else partial(self._told, way, prepared, done))
        if ways.unseen:
            self._probe(ways, prepared)
        return True

    def _probe(self, ways: Ways, prepared: Prepared) -> None:
        """Look at some hash beside; another time where too much waits."""
        places, commands = ways.probe(prepared)

        def seen(outcome: Outcome) -> None:
            if isinstance(outcome, list):
                for at, reply in zip(places, outcome, strict=True):
                    ways.saw(at, reply)

        with suppress(InsituError):
            self._ask(commands, seen)

    def _told(self, way: Way, prepared: Prepared, done: Done, outcome: Outcome) -> None:
        """Tell what came; what the way says nothing of is asked for once more, as the plan says."""
        every = range(len(prepared.live))
        if isinstance(outcome, list):
            replies, again = read(way, prepared, outcome)
        elif isinstance(outcome, RedisRefused) and of_a_command(str(outcome.details["reason"])):
            way.refused()
            replies, again = [], every
        else:
            if isinstance(outcome, RedisUnavailable):
                way.lost()
            done(outcome)
            return
        if again:
            self._again(prepared, replies, again, done)
        else:
            done(replies)

    def _again(self, prepared: Prepared, replies: list[Any], again: Sequence[int], done: Done) -> None:
        told = partial(filled_in, prepared, replies, again, done)
        try:
            self._ask(prepared.encoded_rows(again), told)
        except InsituError as error:
            told(error)


def read(way: Way, prepared: Prepared, replies: list[Any]) -> tuple[list[Any], Sequence[int]]:
    """Return replies as the plan takes them, and the rows to ask for again: all where the way fails over them."""
    try:
        return way.read(prepared, replies)
    except Exception:
        log.exception("replies were not as expected; rows are asked for as their feature view says")
        way.refused()
        return [], range(len(prepared.live))


def filled_in(
    prepared: Prepared, replies: list[Any], again: Sequence[int], done: Done, outcome: Outcome
) -> None:
    """Tell replies in which those of some rows were asked for again; a fault is that of these rows alone."""
    if len(again) == len(prepared.live):
        done(outcome)
        return
    width = len(prepared.forms)
    more = [outcome] * (width * len(again)) if isinstance(outcome, InsituError) else outcome
    for at, row in enumerate(again):
        replies[row * width : (row + 1) * width] = more[at * width : (at + 1) * width]
    done(replies)
