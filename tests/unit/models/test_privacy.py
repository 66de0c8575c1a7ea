"""Private names: the alias that stands for each, wherever it might be read."""

import pytest

from models.errors import InsituError
from models.features import FeatureView
from models.privacy import Privacy

RECIPE = {
    "private": ["income", "postal code"],
    "features": {"inputs": [{"sources": [{"fields": ["age", {"name": "debt", "private": True}]}]}]},
}


def test_an_alias_is_the_same_for_the_same_recipe() -> None:
    privacy = Privacy.of(RECIPE)

    assert privacy.aliases == {"income": "private 1", "postal code": "private 2", "debt": "private 3"}
    assert [privacy.alias(name) for name in ("age", "income", "income[3]", "debt")] == [
        "age",
        "private 1",
        "private 1[3]",
        "private 3",
    ]


def test_a_name_that_says_its_source_or_input_is_still_of_its_feature() -> None:
    privacy = Privacy(["income", "income of old"])

    named = (
        "income (user:{id})",
        "income of x, source 2",
        "income[0-3] of x",
        "income of old",
        "income of old[1]",
    )
    assert [*map(privacy.alias, named)] == [
        "private 1 (user:{id})",
        "private 1 of x, source 2",
        "private 1[0-3] of x",
        "private 2",
        "private 2[1]",
    ]
    assert privacy.alias("incomes (user:{id})") == "incomes (user:{id})"


def test_a_model_without_a_recipe_says_in_its_view_what_is_private() -> None:
    view = FeatureView.read(
        {
            "inputs": [
                {
                    "name": "x",
                    "sources": [
                        {
                            "key": "user:{id}",
                            "as": "hash",
                            "fields": ["age", {"name": "debt", "private": True}],
                        }
                    ],
                }
            ]
        }
    )

    assert Privacy.of_model(None, view).aliases == {"debt": "private 1"}
    assert Privacy.of_model(RECIPE, view).aliases["debt"] == "private 3"
    assert Privacy.of_model(None, None).aliases == {}


def test_a_private_name_is_taken_out_of_texts_where_it_is_a_word() -> None:
    privacy = Privacy.of(RECIPE)

    assert privacy.text("key 'user:3' has no field 'income', see $.income") == (
        "key 'user:3' has no field 'private 1', see $.private 1"
    )
    assert privacy.text("incomes rise") == "incomes rise"


def test_the_longer_of_two_names_is_taken_whole() -> None:
    assert Privacy(["tax", "tax rate"]).text("tax rate and tax") == "private 2 and private 1"


def test_plain_data_is_masked_however_deep() -> None:
    masked = Privacy.of(RECIPE).masked(
        {"signs": [{"says": "income tells all"}], "rows": 3, "names": ("debt",)}
    )

    assert masked == {"signs": [{"says": "private 1 tells all"}], "rows": 3, "names": ["private 3"]}


def test_keys_that_are_names_are_masked_and_others_stay() -> None:
    masked = Privacy.of(RECIPE).masked(
        {"income": 1, "network": [{"columns": {"income": ["standardize"], "age": "debt"}}]}
    )

    assert masked == {
        "income": 1,
        "network": [{"columns": {"private 1": ["standardize"], "age": "private 3"}}],
    }


def test_an_error_leaves_without_private_names() -> None:
    with pytest.raises(InsituError) as caught, Privacy.of(RECIPE).in_errors():
        raise InsituError("income is no number", field="income", rows=2)

    assert (str(caught.value), caught.value.details) == (
        "private 1 is no number",
        {"field": "private 1", "rows": 2},
    )


def test_without_private_names_everything_stays() -> None:
    assert Privacy.of(None).masked(RECIPE) == RECIPE
