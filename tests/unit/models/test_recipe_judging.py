"""What a recipe says of how its model is judged, and how it says what is wrong with that."""

import pytest

from models.errors import BadRecipe
from models.recipe import Recipe
from models.recipe_judging import audit_key, field_names

RECIPE = """\
name: churn
task: classification
data: {source: redis, match: "user:*", target: {key: "user:{id}:truth", as: hash, field: left}}
features:
  inputs:
    - name: x
      sources:
        - {key: "user:{id}", as: hash, fields: [age, {name: income, private: true}]}
        - {key: "user:{id}:v", as: vector, shape: [2]}
labels: {"0": stays, "1": leaves}
network: [{linear: 16}]
"""
THREE = RECIPE.replace('"1": leaves}', '"1": leaves, "2": returns}')


def test_a_recipe_says_nothing_of_it_by_default() -> None:
    recipe = Recipe.parse(RECIPE)

    assert (recipe.decision, recipe.fairness, recipe.private) == (None, None, ())
    assert not recipe.judge.data_curve
    assert field_names(recipe.features) == ("age", "income")


def test_everything_that_is_said_survives_a_manifest() -> None:
    text = RECIPE + (
        "decision: {positive: leaves, cost: {false_negative: 20}}\n"
        "judge: {data_curve: true, seconds: 5, temperature: false}\n"
        "fairness: {fields: [sex], bound: 0.2}\n"
        "private: [age, sex, x]\n"
    )
    recipe = Recipe.parse(text)

    assert Recipe.model_validate(recipe.as_data()) == recipe
    assert recipe.decision is not None
    assert recipe.decision.cost is not None
    assert (recipe.decision.cost.false_positive, recipe.decision.cost.false_negative) == (1, 20)


FAULTS = [
    (
        RECIPE,
        "decision: {}",
        "decision gives no rule; it takes exactly one of cost, f_beta, precision, recall",
    ),
    (RECIPE, "decision: {f_beta: 1, recall: 0.5}", "decision gives f_beta and recall; it takes exactly one"),
    (RECIPE, "decision: {recall: 1}", "decision.recall: should be less than 1 (got 1)"),
    (RECIPE, "decision: {cost: {false_postive: 1}}", "did you mean 'false_positive'?"),
    (RECIPE, "decision: {cost: {false_positive: 0, false_negative: 0}}", "no mistake costs anything"),
    (RECIPE, "decision: {positive: leave, f_beta: 1}", "no label of the recipe; did you mean 'leaves'?"),
    (THREE, "decision: {f_beta: 1}", "decision is between two labels, the recipe has 3; take it out"),
    (RECIPE, "fairness: {fields: []}", "at least 1 item after validation"),
    (RECIPE, "fairness: {fields: [age]}", "keeps age out of the input, but features read it; take it out"),
    (RECIPE, 'fairness: {fields: [sex], key: "household:{house}"}', "needs house, which the rows' key"),
    (RECIPE, "fairness: {fields: [sex], bound: 2}", "fairness.bound: should be less than or equal to 1"),
    (RECIPE, "private: [incom]", "names 'incom', which no feature is called; did you mean 'income'?"),
    (RECIPE, "judge: {seconds: 0}", "judge.seconds: should be greater than 0"),
]


@pytest.mark.parametrize(("text", "added", "said"), FAULTS)
def test_a_fault_names_its_line_the_value_and_the_cure(text: str, added: str, said: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(text + added + "\n", "churn.yaml")

    assert "churn.yaml, line 12: " in str(caught.value)
    assert said in str(caught.value)


def test_sensitive_fields_may_be_seen_where_the_recipe_says_so() -> None:
    recipe = Recipe.parse(RECIPE + "fairness: {fields: [age], input: true}\n")

    assert recipe.fairness is not None
    assert audit_key(recipe.fairness, recipe.features, "user:{id}:truth") == "user:{id}"


def test_sensitive_fields_lie_where_the_recipe_says_or_beside_the_target() -> None:
    line = '        - {key: "user:{id}", as: hash, fields: [age, {name: income, private: true}]}\n'
    vectors = RECIPE.replace(line, "")
    beside = Recipe.parse(vectors + "fairness: {fields: [sex]}\n")
    named = Recipe.parse(RECIPE + 'fairness: {fields: [sex], key: "user:{id}:about"}\n')

    assert beside.fairness is not None
    assert named.fairness is not None
    assert audit_key(beside.fairness, beside.features, "user:{id}:truth") == "user:{id}:truth"
    assert audit_key(named.fairness, named.features, "user:{id}:truth") == "user:{id}:about"


def test_a_decision_needs_rows_to_be_made_on() -> None:
    with pytest.raises(BadRecipe, match="line 12: decision needs a validation share above 0"):
        Recipe.parse(RECIPE + "decision: {f_beta: 1}\ntraining: {validation: 0}\n")
