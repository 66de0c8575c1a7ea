"""Errors of Feast's features are those of any other, in Feast's words: a program knows them by the same codes."""

import json

import pytest

from models import errors, feast_errors
from models.errors import InsituError

ONE_OF_EACH = [
    feast_errors.NotThisEntity("d:x\n", "d:{d}", "d", "x\n", "int64"),
    feast_errors.EntityMissing("d:1\n", "shop", "visits\n"),
    feast_errors.FeatureMissing("d:1\n", "visits\n", "age\n"),
    feast_errors.WrongFeature("d:1\n", "visits\n", "age\n", "is a map"),
]


def test_every_error_of_the_module_is_tried_here_and_named_at_its_head() -> None:
    own = {
        found for found in vars(feast_errors).values()
        if isinstance(found, type) and found.__module__ == feast_errors.__name__
    }  # fmt: skip

    assert {type(error) for error in ONE_OF_EACH} == own
    assert {error.__name__ for error in own} <= set(str(feast_errors.__doc__).split())


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_whose_facts_are_json(error: InsituError) -> None:
    assert "\n" not in str(error)
    json.dumps(error.details, allow_nan=False)


def test_a_program_knows_them_by_the_codes_of_other_sources() -> None:
    assert [error.code for error in ONE_OF_EACH] == [
        errors.KeyNotAllowed.code,
        errors.KeyMissing.code,
        errors.FieldMissing.code,
        "wrong_feature",
    ]
