"""AI.MODELEXECUTE and AI.MODELRUN as they are written: every text of RedisAI, in the order of its checks."""

import pytest

from server.resp.commands.command import Command
from server.resp.commands.executing import COMMANDS
from server.resp.commands.run_parsing import Claim, Misworded, Run, parse_modelexecute, parse_modelrun, whole

BOTH = (Claim(b"m", 2, 1),)
INPUTS = (Claim(b"m", 2),)
MODEL = (Claim(b"m"),)
KEYS = {command.name: command for command in COMMANDS}


def words(text: str) -> list[bytes]:
    return text.encode().split()


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("m INPUTS 2 a b OUTPUTS 1 c", Run(b"m", [b"a", b"b"], [b"c"])),
        ("m inputs 1 a outputs 2 c d", Run(b"m", [b"a"], [b"c", b"d"])),
        ("m INPUTS 1 a OUTPUTS 1 c TIMEOUT 1000", Run(b"m", [b"a"], [b"c"], 1000)),
        ("m INPUTS 1 OUTPUTS OUTPUTS 1 TIMEOUT timeout 7", Run(b"m", [b"OUTPUTS"], [b"TIMEOUT"], 7)),
        ("INPUTS INPUTS 1 INPUTS OUTPUTS 1 INPUTS", Run(b"INPUTS", [b"INPUTS"], [b"INPUTS"])),
    ],
)
def test_modelexecute_is_read(text: str, run: Run) -> None:
    assert parse_modelexecute(words(text)) == run


@pytest.mark.parametrize(
    ("text", "told", "claims"),
    [
        ("", "ERR wrong number of arguments for 'AI.MODELEXECUTE' command", ()),
        ("m INPUTS 1 a OUTPUTS 1", "ERR wrong number of arguments for 'AI.MODELEXECUTE' command", ()),
        ("m a b INPUTS 2 OUTPUTS 1 c", "ERR INPUTS not specified", MODEL),
        ("m INPUTS x a b OUTPUTS 1 c", "ERR Invalid argument for input_count", MODEL),
        ("m INPUTS 2.0 a b OUTPUTS 1 c", "ERR Invalid argument for input_count", MODEL),
        ("m INPUTS 0 a b OUTPUTS 1 c", "ERR Input count must be a positive integer", MODEL),
        ("m INPUTS -2 a b OUTPUTS 1 c", "ERR Input count must be a positive integer", MODEL),
        (
            "m INPUTS 99 a b OUTPUTS 1 c",
            "ERR number of input keys to AI.MODELEXECUTE command does not match the number of given arguments",
            (Claim(b"m", 99),),
        ),
        ("m INPUTS 2 a b c OUTPUTS 1 d", "ERR OUTPUTS not specified", INPUTS),
        ("m INPUTS 4 a b c d", "ERR OUTPUTS not specified", (Claim(b"m", 4),)),
        ("m INPUTS 2 a b OUTPUTS x c", "ERR Invalid argument for output_count", INPUTS),
        ("m INPUTS 3 a b c OUTPUTS", "ERR Invalid argument for output_count", (Claim(b"m", 3),)),
        ("m INPUTS 2 a b OUTPUTS 0 c", "ERR Output count must be a positive integer", INPUTS),
        (
            "m INPUTS 2 a b OUTPUTS 2 c",
            "ERR number of output keys to AI.MODELEXECUTE command does not match the number of given arguments",
            (Claim(b"m", 2, 2),),
        ),
        ("m INPUTS 2 a b OUTPUTS 1 c d", "Invalid argument: d", BOTH),
        ("m INPUTS 2 a b OUTPUTS 1 c TIMEOUT", "ERR No value provided for TIMEOUT", BOTH),
        ("m INPUTS 2 a b OUTPUTS 1 c TIMEOUT x", "ERR Invalid value for TIMEOUT", BOTH),
        ("m INPUTS 2 a b OUTPUTS 1 c TIMEOUT 0", "ERR Invalid value for TIMEOUT", BOTH),
        ("m INPUTS 2 a b OUTPUTS 1 c TIMEOUT -1", "ERR Invalid value for TIMEOUT", BOTH),
        ("m INPUTS 2 a b OUTPUTS 1 c TIMEOUT 1 more", "Invalid argument: more", BOTH),
    ],
)
def test_a_fault_of_modelexecute_is_told_after_those_of_its_model(
    text: str, told: str, claims: tuple[Claim, ...]
) -> None:
    with pytest.raises(Misworded) as caught:
        parse_modelexecute(words(text))

    assert str(caught.value) == told
    assert tuple(caught.value.claims) == claims
    assert tuple(caught.value.loads) == ()


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("m INPUTS a b OUTPUTS c", Run(b"m", [b"a", b"b"], [b"c"])),
        ("m timeout 9 inputs a outputs c d", Run(b"m", [b"a"], [b"c", b"d"], 9)),
        ("m INPUTS OUTPUTS c d e", Run(b"m", [], [b"c", b"d", b"e"])),
        ("m INPUTS a OUTPUTS b outputs", Run(b"m", [b"a"], [b"b", b"outputs"])),
        ("m INPUTS a b c", Run(b"m", [b"a", b"b", b"c"], [])),
    ],
)
def test_modelrun_is_read(text: str, run: Run) -> None:
    assert parse_modelrun(words(text)) == run


@pytest.mark.parametrize(
    ("text", "told", "claims"),
    [
        ("m INPUTS a OUTPUTS", "ERR wrong number of arguments for 'AI.MODELRUN' command", ()),
        ("m TIMEOUT x INPUTS a OUTPUTS b", "ERR Invalid value for TIMEOUT", MODEL),
        ("m TIMEOUT 0 INPUTS a OUTPUTS b", "ERR Invalid value for TIMEOUT", MODEL),
        ("m a INPUTS b OUTPUTS c", "ERR INPUTS not specified", MODEL),
        ("m TIMEOUT 1 a INPUTS b OUTPUTS c", "ERR INPUTS not specified", MODEL),
    ],
)
def test_a_fault_of_modelrun_is_told_after_those_of_its_model(
    text: str, told: str, claims: tuple[Claim, ...]
) -> None:
    with pytest.raises(Misworded) as caught:
        parse_modelrun(words(text))

    assert str(caught.value) == told
    assert tuple(caught.value.claims) == claims


def test_a_word_that_is_told_is_bounded_and_of_one_line() -> None:
    said = [*words("m INPUTS 1 a OUTPUTS 1 b"), b"x\r\n\xff" * 1000]

    with pytest.raises(Misworded) as caught:
        parse_modelexecute(said)

    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "number"),
    [
        (b"0", 0),
        (b"-5", -5),
        (b"9223372036854775807", (1 << 63) - 1),
        (b"9223372036854775808", None),
        (b"+1", None),
        (b"01", None),
        (b" 1", None),
        (b"1_0", None),
        (b"-0", None),
        (b"\xd9\xa1", None),
        (b"", None),
        (b"9" * 10_000, None),
    ],
)
def test_a_number_is_one_where_redis_reads_it_so(word: bytes, number: int | None) -> None:
    assert whole(word) == number


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        ("AI.MODELEXECUTE", "m INPUTS 2 a b OUTPUTS 1 c TIMEOUT 5", [b"m", b"a", b"b", b"c"]),
        ("AI.MODELEXECUTE", "m INPUTS 9 a b OUTPUTS 1 c", []),
        ("AI.MODELRUN", "m TIMEOUT 5 INPUTS a b OUTPUTS c", [b"m", b"a", b"b", b"c"]),
        ("AI.MODELRUN", "m", []),
    ],
)
def test_the_keys_of_a_command_are_found(name: str, text: str, keys: list[bytes]) -> None:
    names = KEYS[name].names

    assert names is not None
    assert names(words(text)) == keys


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_who_may_only_predict_may_not_write_keys_by_a_run(command: Command) -> None:
    assert command.scope == "admin"
