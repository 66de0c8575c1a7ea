"""A DAG as it is written: every text of RedisAI in the order of its checks, and which tensor each step takes."""

from collections.abc import Sequence

import pytest

from models.tensor_strings import StoredTensor
from server.resp.commands.dag import names_of
from server.resp.commands.dag_parsing import Dag, Execute, GetTensor, SetTensor, parse_dag
from server.resp.commands.run_parsing import Claim, Misworded

SET = "AI.TENSORSET a FLOAT 1 VALUES 2"
GET = "AI.TENSORGET a VALUES"
RUN = "AI.MODELEXECUTE m INPUTS 1 a OUTPUTS 1 b"
OLD_RUN = "AI.MODELRUN m INPUTS a OUTPUTS b"
CLAIM = Claim(b"m", 1, 1)
LOADED = (b"k", b"l")


def words(text: str) -> list[bytes]:
    return text.encode().split()


def parsed(text: str, read_only: bool = False, deprecated: bool = False) -> Dag:
    return parse_dag(words(text), read_only, deprecated)


def refusal(text: str, read_only: bool = False, deprecated: bool = False) -> Misworded:
    with pytest.raises(Misworded) as caught:
        parsed(text, read_only, deprecated)
    return caught.value


def test_a_dag_is_steps_over_places() -> None:
    dag = parsed(f"LOAD 2 k l PERSIST 1 b ROUTING r TIMEOUT 30 |> {SET} |> {RUN} |> AI.TENSORGET b META")

    first, second, third = dag.steps
    assert first == SetTensor(StoredTensor("FLOAT", (1,), b"\0\0\0\x40"), 2)
    assert second == Execute(b"m", [2], range(3, 4))
    assert isinstance(third, GetTensor)
    assert (third.place, third.wanted.key, third.wanted.meta) == (3, b"b", True)
    assert (dag.loads, dag.persists, dag.places, dag.timeout_ms) == ([b"k", b"l"], [(b"b", 3)], 4, 30)


def test_sections_come_in_any_order_and_in_any_case() -> None:
    one = parsed(f"timeout 5 persist 1 a routing r load 1 k |> {SET}")
    other = parsed(f"LOAD 1 k ROUTING r PERSIST 1 a TIMEOUT 5 |> {SET.lower()}")

    assert one == other


def test_a_name_that_is_set_again_is_another_tensor_from_there_on() -> None:
    again = "AI.MODELEXECUTE m INPUTS 1 a OUTPUTS 1 a"
    dag = parsed(f"LOAD 1 a PERSIST 1 a |> {GET} |> {again} |> {SET} |> {again} |> {GET}")

    places = [
        step.place if not isinstance(step, Execute) else (*step.inputs, *step.outputs) for step in dag.steps
    ]
    assert places == [0, (0, 1), 2, (2, 3), 3]
    assert dag.persists == [(b"a", 3)]


def test_a_deprecated_dag_needs_no_section() -> None:
    dag = parsed(f"|> {SET} |> {OLD_RUN}", deprecated=True)

    assert dag.steps[1] == Execute(b"m", [0], range(1, 2))
    assert (dag.loads, dag.persists, dag.timeout_ms) == ([], [], 0)


@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_timeout_of_nothing_is_none(number: str) -> None:
    assert parsed(f"ROUTING r TIMEOUT {number} |> {SET}").timeout_ms == 0


@pytest.mark.parametrize(
    ("text", "told", "loads"),
    [
        ("", "ERR missing arguments for 'AI.DAGEXECUTE' command", ()),
        ("LOAD 1 k |>", "ERR missing arguments for 'AI.DAGEXECUTE' command", ()),
        ("PERSIST 2 k l LOAD 1", "ERR missing arguments after LOAD keyword in DAG command", ()),
        (f"LOAD x |> {GET}", "ERR invalid or negative value found in number of keys to LOAD", ()),
        (f"LOAD 0 |> {GET}", "ERR invalid or negative value found in number of keys to LOAD", ()),
        (f"LOAD -1 k |> {GET}", "ERR invalid or negative value found in number of keys to LOAD", ()),
        (
            "ROUTING r LOAD 3 k l",
            "ERR number of keys to LOAD into DAG does not match the number of given arguments",
            LOADED,
        ),
        (
            "LOAD 9 k |> AI.TENSORGET k",
            "ERR number of keys to LOAD into DAG does not match the number of given arguments",
            (b"k", b"|>", b"AI.TENSORGET", b"k"),
        ),
        ("LOAD 2 k l PERSIST 1", "ERR missing arguments after PERSIST keyword in DAG command", LOADED),
        (
            "LOAD 2 k l PERSIST x k",
            "ERR invalid or negative value found in number of keys to PERSIST",
            LOADED,
        ),
        (
            "LOAD 2 k l PERSIST 2 k",
            "ERR number of keys to PERSIST after DAG execution does not match the number of given arguments",
            LOADED,
        ),
        ("LOAD 2 k l PERSIST 9 k k", "ERR PERSIST keys must be unique", LOADED),
        ("LOAD 2 k l ROUTING", "ERR Missing ROUTING value", LOADED),
        ("LOAD 2 k l TIMEOUT", "ERR No value provided for TIMEOUT", LOADED),
        ("LOAD 2 k l TIMEOUT x", "ERR Invalid value for TIMEOUT", LOADED),
        (f"LOAD 2 k l BAD |> {SET}", "ERR Invalid DAG command. Unexpected argument:  BAD", LOADED),
        (f"LOAD 2 k l LOAD 1 m |> {SET}", "ERR Invalid DAG command. Unexpected argument:  LOAD", LOADED),
        (f"ROUTING r ROUTING r |> {SET}", "ERR Invalid DAG command. Unexpected argument:  ROUTING", ()),
        ("LOAD 2 k l |>", "ERR Invalid DAG command. Unexpected argument:  |>", LOADED),
        (f"LOAD 2 k l |> NO |> {SET} |>", "ERR Invalid DAG command. Unexpected argument:  |>", LOADED),
        (
            f"TIMEOUT 5 |> {SET}",
            (
                "ERR AI.DAGEXECUTE and AI.DAGEXECUTE_RO commands must contain at least one out of "
                "ROUTING, LOAD, PERSIST keywords"
            ),
            (),
        ),
        ("LOAD 2 k l ROUTING r", "ERR DAG is empty", LOADED),
    ],
)
def test_a_fault_of_a_section_is_told_after_those_of_what_is_loaded_before(
    text: str, told: str, loads: Sequence[bytes]
) -> None:
    error = refusal(text)

    assert str(error) == told
    assert tuple(error.loads) == tuple(loads)
    assert tuple(error.claims) == ()


@pytest.mark.parametrize(
    ("steps", "told", "claims"),
    [
        ("AI.NOCOMMAND a", "Unsupported command within DAG", ()),
        (f"|> {SET}", "Unsupported command within DAG", ()),
        (f"{SET} |> |> {GET}", "Unsupported command within DAG", ()),
        (OLD_RUN, "Deprecated AI.MODELRUN cannot be used in AI.DAGEXECUTE command", ()),
        ("AI.SCRIPTRUN s f", "Deprecated AI.SCRIPTRUN cannot be used in AI.DAGEXECUTE command", ()),
        ("AI.SCRIPTEXECUTE s f", "ERR Could not load backend", ()),
        ("AI.SCRIPTEXECUTE s", "ERR wrong number of arguments for 'AI.SCRIPTEXECUTE' command", ()),
        ("AI.TENSORSET a FLOAT", "wrong number of arguments for 'AI.TENSORSET' command", ()),
        ("AI.TENSORSET a FLOAT 1 VALUES x", "ERR invalid value", ()),
        ("AI.TENSORGET", "wrong number of arguments for 'AI.TENSORGET' command", ()),
        ("AI.TENSORGET a META BLOB more", "wrong number of arguments for 'AI.TENSORGET' command", ()),
        ("AI.TENSORGET a WHAT", "ERR unsupported data format", ()),
        ("AI.MODELEXECUTE m", "ERR wrong number of arguments for 'AI.MODELEXECUTE' command", ()),
        ("AI.MODELEXECUTE m IN 1 a OUTPUTS 1 b", "ERR INPUTS not specified", (Claim(b"m"),)),
        (f"{SET} |> {RUN} TIMEOUT 5", "ERR TIMEOUT not allowed within a DAG command", (CLAIM,)),
        (f"{SET} |> {RUN} |> {RUN} more", "Invalid argument: more", (CLAIM, CLAIM)),
        (f"{RUN} |> AI.TENSORGET", "wrong number of arguments for 'AI.TENSORGET' command", (CLAIM,)),
        (RUN, "ERR INPUT key cannot be found in DAG", (CLAIM,)),
        (GET, "ERR INPUT key cannot be found in DAG", ()),
        (f"{GET} |> {SET}", "ERR INPUT key cannot be found in DAG", ()),
        ("AI.TENSORSET b FLOAT 1", "ERR PERSIST key cannot be found in DAG", ()),
        (f"{SET} |> AI.TENSORGET z", "ERR INPUT key cannot be found in DAG", ()),
    ],
)
def test_a_fault_of_a_step_is_told_after_those_of_the_models_before(
    steps: str, told: str, claims: Sequence[Claim]
) -> None:
    error = refusal(f"LOAD 2 k l PERSIST 1 a |> {steps}")

    assert str(error) == told
    assert tuple(error.loads) == LOADED
    assert tuple(error.claims) == tuple(claims)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ERR missing arguments for 'AI.DAGEXECUTE_RO' command"),
        (f"PERSIST 1 a |> {SET}", "ERR PERSIST cannot be specified in a read-only DAG"),
        (
            "ROUTING r |> AI.SCRIPTEXECUTE s f",
            "ERR AI.SCRIPTEXECUTE command cannot be specified in a read-only DAG",
        ),
    ],
)
def test_a_read_only_dag_neither_keeps_nor_runs_scripts(text: str, told: str) -> None:
    assert str(refusal(text, read_only=True)) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("|> AI.TENSORGET", "ERR wrong number of arguments for 'AI.DAGRUN' command"),
        (f"|> {RUN}", "AI.MODELEXECUTE cannot be used in a deprecated AI.DAGRUN command"),
        ("|> AI.SCRIPTEXECUTE s f", "AI.SCRIPTEXECUTE cannot be used in a deprecated AI.DAGRUN command"),
        ("|> AI.SCRIPTRUN s f", "ERR Could not load backend"),
        ("|> AI.NOCOMMAND s", "Unsupported command within DAG"),
        ("TIMEOUT 5 LOAD 1 k", "ERR DAG is empty"),
        (
            f"|> {SET} |> {OLD_RUN.replace('INPUTS', 'TIMEOUT 5 INPUTS')}",
            "ERR TIMEOUT not allowed within a DAG command",
        ),
    ],
)
def test_a_deprecated_dag_refuses_in_its_own_words(text: str, told: str) -> None:
    assert str(refusal(text, deprecated=True)) == told


def test_a_deprecated_read_only_dag_says_its_name() -> None:
    error = refusal("|> X", read_only=True, deprecated=True)

    assert str(error) == "ERR wrong number of arguments for 'AI.DAGRUN_RO' command"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (f"LOAD 2 k l PERSIST 1 b ROUTING r TIMEOUT 5 |> {SET} |> {RUN}", "k l b r m"),
        (f"|> {SET} |> {OLD_RUN} |> AI.SCRIPTRUN s f", "m s"),
        (f"LOAD 1 ROUTING |> AI.TENSORSET LOAD FLOAT 1 |> {RUN}", "ROUTING m"),
        ("LOAD 9 k", ""),
        ("LOAD x k", ""),
        ("ROUTING", ""),
        ("", ""),
    ],
)
def test_the_keys_of_a_dag_are_found(text: str, keys: str) -> None:
    assert names_of(words(text)) == words(keys)


def test_bytes_that_are_the_sign_between_steps_are_bytes() -> None:
    last = "AI.TENSORSET b UINT16 1 BLOB |>"
    dag = parsed(f"PERSIST 2 a b |> AI.TENSORSET a INT8 2 BLOB |> |> AI.TENSORGET a BLOB |> {last}")

    assert isinstance(dag.steps[1], GetTensor)
    assert dag.steps[0] == SetTensor(StoredTensor("INT8", (2,), b"|>"), 0)
    assert dag.steps[2] == SetTensor(StoredTensor("UINT16", (1,), b"|>"), 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{SET} |> AI.TENSORGET a BLOB |>", "ERR Invalid DAG command. Unexpected argument:  |>"),
        (
            f"AI.TENSORSET a INT8 2 BLOB |> {GET}",
            "ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command",
        ),
    ],
)
def test_a_sign_that_is_no_bytes_is_a_sign(text: str, told: str) -> None:
    assert str(refusal(f"ROUTING r |> {text}")) == told


def test_the_tensors_of_a_dag_are_bounded_together() -> None:
    large = "|> AI.TENSORSET a UINT8 300000000 "

    with pytest.raises(Misworded, match="600000000 bytes, together they may take 536870912"):
        parsed("ROUTING r " + 2 * large + "|> AI.TENSORGET a")
