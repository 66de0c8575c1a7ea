"""A pointer at a key says which version it means, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.keys import NAME
from models.model_pointers import ModelPointer, name_of


def test_a_pointer_is_a_line_of_json_that_anybody_can_read() -> None:
    pointer = ModelPointer("churn", 3)

    assert pointer.pack() == b'{"insitu_model":"churn","version":3}'
    assert ModelPointer.parse(pointer.pack()) == pointer


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"churn",
        b'{"insitu_model":"churn"}',
        b'{"insitu_model":"churn","version":0}',
        b'{"insitu_model":"churn","version":"3"}',
        b'{"insitu_model":"churn","version":true}',
        b'{"insitu_model":"churn","version":3,"more":1}',
        b'{"insitu_model":"../churn","version":3}',
        b'{"insitu_model":7,"version":3}',
        b'{"insitu_model":"churn","version":3',
        b' {"insitu_model":"churn","version":3}',
        b'{"insitu_model":"churn","version":3}' + b" " * 512,
    ],
)
def test_what_is_no_pointer_is_not_taken_for_one(value: bytes) -> None:
    assert ModelPointer.parse(value) is None


@given(st.binary(max_size=300))
def test_every_key_gives_a_name_that_a_model_can_have(key: bytes) -> None:
    assert NAME.fullmatch(name_of(key))


def test_a_key_that_can_be_a_name_is_the_name_and_others_never_share_one() -> None:
    keys = [b"m{1}", b"m:1", b"m/1", b"m\xff1", b"m 1", b"", b"\xff", b"_m", b"a" * 129, b"a" * 130]

    assert name_of(b"resnet-50.v1") == "resnet-50.v1"
    assert name_of(b"models:churn") == "models-churn-fe54a8b0"
    assert len({name_of(key) for key in keys}) == len(keys)
