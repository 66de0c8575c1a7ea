"""Forms of DAGs: a command of a form that was read before is what reading it again would give."""

import pytest

from models.tensor_strings import StoredTensor
from server.resp.commands.command import Words
from server.resp.commands.dag_forms import FORMS_KEPT, WORDS_LIMIT, WORDS_LIMIT_BYTES, Forms
from server.resp.commands.dag_parsing import SetTensor, parse_dag
from server.resp.commands.run_parsing import Misworded

RUN = "|> AI.MODELEXECUTE m INPUTS 1 a OUTPUTS 1 b |> AI.TENSORGET b BLOB"


def words(text: str, *blobs: bytes) -> list[bytes]:
    """Return the words of a text, each `%` being the next of the bytes."""
    rest = iter(blobs)
    return [next(rest) if word == "%" else word.encode() for word in text.split()]


def known(forms: Forms, args: Words) -> bool:
    """Read a command and tell whether its form was known."""
    before = forms.known(args)
    assert forms.dag(args) == parse_dag(args, False, False)
    return before is not None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (f"ROUTING r |> AI.TENSORSET a FLOAT 2 BLOB % {RUN}", 8),
        (f"PERSIST 1 b TIMEOUT 9 |> AI.TENSORSET a INT8 3 BLOB % |> AI.TENSORSET a INT8 3 BLOB % {RUN}", 3),
        (f"LOAD 1 BLOB |> AI.TENSORGET BLOB |> AI.TENSORSET a UINT16 1 BLOB % {RUN}", 2),
    ],
)
def test_other_bytes_of_the_same_length_are_of_one_form(text: str, size: int) -> None:
    forms = Forms(read_only=False, deprecated=False)
    count = text.count("%")

    assert not known(forms, words(text, *[bytes([number] * size) for number in range(count)]))
    assert known(forms, words(text, *[bytes([number + 9] * size) for number in range(count)]))
    assert known(forms, words(text, *[b"B" * size] * count))


def test_a_dag_that_sets_nothing_has_a_form() -> None:
    forms = Forms(read_only=False, deprecated=False)

    assert not known(forms, words(f"LOAD 1 a {RUN}"))
    assert known(forms, words(f"LOAD 1 a {RUN}"))
    assert not known(forms, words(f"LOAD 2 a b {RUN}"))


@pytest.mark.parametrize(
    ("text", "blobs"),
    [
        (f"ROUTING r |> AI.TENSORSET a FLOAT 2 VALUES 1 2 {RUN}", []),
        (f"ROUTING r |> AI.TENSORSET a FLOAT 2 {RUN}", []),
        (f"ROUTING r |> AI.TENSORSET a FLOAT 2 blob % {RUN}", [b"12345678"]),
        (f"ROUTING r |> AI.TENSORSET a BOOL 2 BLOB % {RUN}", [b"\1\0"]),
        (f"ROUTING r |> AI.TENSORSET a STRING 1 BLOB % {RUN}", [b"a\0"]),
        (f"ROUTING r |> AI.TENSORSET BLOB FLOAT 1 VALUES 1 |> AI.TENSORSET a INT8 2 BLOB % {RUN}", [b"ab"]),
        (f"ROUTING r |> AI.TENSORSET a INT8 2 BLOB % {RUN}", [b"|>"]),
        (f"ROUTING {'r' * WORDS_LIMIT_BYTES} |> AI.TENSORSET a INT8 2 BLOB % {RUN}", [b"ab"]),
        (f"LOAD {WORDS_LIMIT} {'a ' * WORDS_LIMIT} {RUN}", []),
    ],
)
def test_what_has_to_be_read_each_time_has_no_form(text: str, blobs: list[bytes]) -> None:
    forms = Forms(read_only=False, deprecated=False)

    for _ in range(3):
        assert not known(forms, words(text, *blobs))


def test_bytes_of_another_length_are_of_another_form() -> None:
    forms = Forms(read_only=False, deprecated=False)
    text = f"ROUTING r |> AI.TENSORSET a INT8 2 BLOB % {RUN}"
    forms.dag(words(text, b"ab"))

    with pytest.raises(Misworded, match="data length does not match tensor shape and type"):
        forms.dag(words(text, b"abc"))


def test_a_form_keeps_no_bytes_and_no_more_forms_are_kept_than_the_bound() -> None:
    forms = Forms(read_only=False, deprecated=False)
    every = [
        words(f"ROUTING r{at} |> AI.TENSORSET a INT8 2 BLOB % {RUN}", b"ab") for at in range(FORMS_KEPT + 1)
    ]

    for args in every:
        forms.dag(args)

    assert [forms.known(args) is not None for args in every] == [False] + [True] * FORMS_KEPT
    form = forms.known(every[1])
    assert form is not None
    assert form.dag.steps[0] == SetTensor(StoredTensor("INT8", (2,), b""), 0)


def test_a_word_beside_the_bytes_is_not_taken_for_them() -> None:
    forms = Forms(read_only=False, deprecated=False)
    text = f"LOAD 2 BLOB % |> AI.TENSORSET a INT8 1 blob % {RUN}"

    assert not known(forms, words(text, b"x", b"x"))
    assert not known(forms, words(text, b"y", b"x"))
