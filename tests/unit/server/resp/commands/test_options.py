"""Options at the end of a command: what is one, and what is a key of the same name."""

import time

import pytest

from models.errors import BadRequest
from server.resp.commands.explaining import asked as explanation_asked
from server.resp.commands.options import whole_of
from server.resp.commands.predicting import asked, keys_of


def words(line: str) -> list[bytes]:
    return [word.encode() for word in line.split()]


@pytest.mark.parametrize(
    ("line", "keys", "reference", "raw"),
    [
        ("m k:1", ["k:1"], None, False),
        ("m k:1 k:2 VERSION 3", ["k:1", "k:2"], 3, False),
        ("m k:1 version canary raw", ["k:1"], "canary", True),
        ("m k:1 RAW VERSION 2", ["k:1"], 2, True),
        ("m RAW", ["RAW"], None, False),
        ("m RAW RAW", ["RAW"], None, True),
        ("m VERSION 2", ["VERSION", "2"], None, False),
        ("m k:1 VERSION", ["k:1", "VERSION"], None, False),
        ("m VERSION k:1", ["VERSION", "k:1"], None, False),
        ("m k:1 VERSION 1 VERSION 2", ["k:1", "VERSION", "1"], 2, False),
    ],
)
def test_what_can_be_an_option_is_one_while_a_key_is_left(
    line: str, keys: list[str], reference: str | int | None, raw: bool
) -> None:
    ask = asked(words(line))

    assert (ask.model, ask.keys, ask.reference, ask.raw) == ("m", keys, reference, raw)
    assert keys_of(words(line)) == [key.encode() for key in keys]


def test_a_timeout_bounds_the_request() -> None:
    ask = asked(words("m k:1 TIMEOUT 250"))

    assert ask.deadline is not None
    assert 0 < ask.deadline - time.monotonic() <= 0.25


def test_missing_is_a_number_that_stands_in() -> None:
    assert asked(words("m k:1 MISSING -1.5")).missing == -1.5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("m k:1 TIMEOUT soon", "TIMEOUT is 'soon'; send a number"),
        ("m k:1 TIMEOUT 0", "TIMEOUT is 0; send a number of milliseconds over 0, at most 1,000,000,000"),
        (
            "m k:1 TIMEOUT 1e30",
            "TIMEOUT is 1e30; send a number of milliseconds over 0, at most 1,000,000,000",
        ),
        ("m k:1 TIMEOUT inf", "TIMEOUT is 'inf'; send a number"),
        ("m k:1 MISSING nan", "MISSING is 'nan'; send a number"),
        ("m k:1 MISSING none", "MISSING is 'none'; send a number"),
    ],
)
def test_a_value_that_is_none_is_named_with_the_cure(line: str, told: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asked(words(line))

    assert str(caught.value) == told


def test_an_explanation_takes_what_is_explained() -> None:
    ask, wish = explanation_asked(words("m k:1 LABEL yes SAMPLES 100 VERSION 2 MISSING 0"))

    assert (ask.keys, ask.reference, ask.missing) == (["k:1"], 2, 0.0)
    assert (wish.label, wish.samples, wish.output, wish.element) == ("yes", 100, None, None)


def test_an_explanation_takes_one_key() -> None:
    with pytest.raises(BadRequest, match=r"takes one key, then options; 'k:2' is none of VERSION, LABEL, "):
        explanation_asked(words("m k:1 k:2"))


def test_a_whole_number_is_digits() -> None:
    with pytest.raises(BadRequest, match="ELEMENT is '-1'; send a whole number from 0 on"):
        whole_of({"ELEMENT": b"-1"}, "ELEMENT")
