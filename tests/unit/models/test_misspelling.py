"""The nearest name, among few and among many that are much alike."""

import random

import pytest

from models.misspelling import nearest

MANY = [f"customer-churn-model-{number:04d}" for number in range(997)] + ["churn", "price", "wine-quality"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("chrun", "churn"),
        ("hcurn", "churn"),
        ("chur", "churn"),
        ("prices", "price"),
        ("wine_quality", "wine-quality"),
        ("wime-qualiti", "wine-quality"),
        ("customer-chrun-model-0417", "customer-churn-model-0417"),
        ("customer-churn-model--0041", "customer-churn-model-0041"),
        ("nothing-like-it", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_among_a_thousand(name: str, meant: str | None) -> None:
    shuffled = random.Random(0).sample(MANY, len(MANY))

    assert nearest(name, shuffled) == meant


def test_no_name_is_near_to_itself() -> None:
    assert nearest("churn", ["churn"]) is None
