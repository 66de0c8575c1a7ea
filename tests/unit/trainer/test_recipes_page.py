"""docs/recipes.md says what the code does: every key, every layer, and examples that are read."""

import re
from pathlib import Path

import pytest

from models.errors import BadRecipe
from models.layers import LAYERS
from models.recipe import Recipe, RedisRows, Step, Training, ready_recipes
from models.recipe_judging import Cost, Decision, Fairness, Judge
from trainer.networks.network import check
from trainer.run import form_of
from trainer.tasks import outputs_of

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_column(text: str) -> list[str]:
    return [
        word
        for line in text.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`(\w+)`", line.split("|")[1])
    ]


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_layer_is_listed_once() -> None:
    assert sorted(first_column(section("network"))) == sorted(LAYERS)


def test_every_option_of_a_layer_is_listed_with_its_default() -> None:
    for line in section("network").splitlines():
        for word in first_column(line):
            for name, field in LAYERS[word].model_fields.items():
                known = field.is_required() or field.default is None or isinstance(field.default, bool)
                shown = name if known or name == "output" else f"{name} {field.default:g}"
                assert name == "layer" or shown in line.replace("*", ""), f"{word}: {shown}"


def test_the_number_of_a_word_is_bold() -> None:
    for line in section("network").splitlines():
        shorts = {LAYERS[word].short for word in first_column(line)} - {None}
        assert set(re.findall(r"\*\*(\w+)\*\*", line)) <= shorts if first_column(line) else True


@pytest.mark.parametrize(("title", "model"), [("data", RedisRows), ("training", Training)])
def test_every_key_of_a_section_is_listed_with_its_default(
    title: str, model: type[RedisRows | Training]
) -> None:
    listed = {
        line.split("|")[1].strip(" `"): line.split("|")[2].strip()
        for line in section(title).splitlines()
        if "|" in line
    }

    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if field.is_required() or name == "dataset":
            assert listed[name] == ""
        elif isinstance(default, Step):
            assert listed[name] == f"every {default.every}, factor {default.factor:g}"
        else:
            assert listed[name] == written(default)


def written(default: object) -> str:
    plain = f"{default:g}" if isinstance(default, float) else str(default)
    return {"None": "none", "True": "yes"}.get(plain, plain)


def test_the_example_is_a_recipe_whose_layers_fit() -> None:
    recipe = Recipe.parse(example("yaml"))

    assert check(recipe.network, form_of(recipe), outputs_of(recipe)) > 0


def test_every_example_of_judging_is_read_beside_it() -> None:
    blocks = re.findall(r"```yaml\n((?:judge|decision|fairness):.*?)```", PAGE, re.DOTALL)

    recipes = [
        Recipe.parse(example("yaml").replace("[age, spend,", "[income, spend,") + block) for block in blocks
    ]

    assert len(recipes) == 3
    assert recipes[0].judge.data_curve
    assert recipes[1].decision is not None
    assert recipes[2].fairness is not None


@pytest.mark.parametrize("model", [Decision, Cost, Judge, Fairness])
def test_every_key_of_judging_is_told_of(model: type[Decision | Cost | Judge | Fairness]) -> None:
    for name in model.model_fields:
        assert re.search(rf"`?\b{name}: ", PAGE), name


def test_the_faults_shown_are_those_told() -> None:
    spoilt = example("yaml").replace("- relu", "- rleu").replace("lr: ", "lr: -").replace("epochs", "epoch")

    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(spoilt, "churn.yaml")

    assert str(caught.value).splitlines() == example("text").splitlines()


def test_the_python_shown_compiles_and_every_ready_recipe_is_told_of() -> None:
    compile(example("python"), "recipes.md", "exec")

    assert set(ready_recipes()) <= set(first_column(section("The ready recipes")))
