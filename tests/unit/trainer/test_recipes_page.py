"""docs/recipes.md says what the code does: every key, every layer, and examples that are read."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from models.documents import Document
from models.errors import BadRecipe
from models.layers.activations import Activation
from models.layers.columns import COLUMN_LAYERS
from models.layers.layer import Layer
from models.layers.network import LAYERS
from models.layers.presets import PRESETS
from models.recipe import Recipe, ready_recipes
from models.recipe_augmentation import Augmentation
from models.recipe_data import CsvRows, FunctionRows, RedisRows
from models.recipe_judging import Cost, Decision, Fairness, Judge
from models.recipe_network import NetworkSection
from models.recipe_privacy import Privacy
from models.recipe_search import Search
from models.recipe_sections import Section
from models.recipe_split import Split
from models.recipe_tasks import Task
from models.recipe_training import Plateau, Step, Training
from trainer.blueprints import blueprint_of
from trainer.networks.building import check

NETWORK: TypeAdapter[Any] = TypeAdapter(NetworkSection)
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


def test_every_layer_of_a_column_is_listed_once() -> None:
    activations = {word for word, layer in COLUMN_LAYERS.items() if layer is Activation} - {"none"}

    assert sorted(first_column(section("columns"))) == sorted(set(COLUMN_LAYERS) - activations)


def test_every_preset_is_listed_with_its_width_and_depth() -> None:
    listed = {
        word: [cell.strip() for cell in line.split("|")[3:5]]
        for line in section("presets").splitlines()
        for word in first_column(line)
    }

    assert listed == {name: [str(size.width), str(size.depth)] for name, (_, size) in PRESETS.items()}


TABLES = [("network", LAYERS), ("columns", COLUMN_LAYERS)]


@pytest.mark.parametrize(("title", "known"), TABLES)
def test_every_option_of_a_layer_is_listed_with_its_default(
    title: str, known: dict[str, type[Layer]]
) -> None:
    for line in section(title).splitlines():
        for word in first_column(line):
            for name, field in known[word].model_fields.items():
                bare = field.is_required() or not isinstance(field.default, int | float | str)
                shown = name if bare or isinstance(field.default, bool) else f"{name} {field.default}"
                told = name in {"layer", "output"} or word == "columns"
                assert told or shown.removesuffix(".0") in line.replace("*", ""), f"{word}: {shown}"


@pytest.mark.parametrize(("title", "known"), TABLES)
def test_the_number_of_a_word_is_bold(title: str, known: dict[str, type[Layer]]) -> None:
    for line in section(title).splitlines():
        shorts = {known[word].short for word in first_column(line)} - {None}
        assert set(re.findall(r"\*\*(\w+)\*\*", line)) <= shorts if first_column(line) else True


@pytest.mark.parametrize("title", ["network", "presets", "columns"])
def test_a_network_shown_is_one(title: str) -> None:
    for written in re.findall(r"```yaml\n(.*?)```", section(title), re.DOTALL):
        data: Any = Document(written, title).data
        assert NETWORK.validate_python(data["network"])


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (section("data").split("###")[0], RedisRows),
        (section("data").split("### Columns")[1], CsvRows),
        (section("data").split("### Columns")[1], FunctionRows),
        (section("split"), Split),
        (section("training").split("\n### ")[0], Training),
        (section("search").split("\n### ")[0], Search),
    ],
    ids=["data", "columns", "function", "split", "training", "search"],
)
def test_every_key_of_a_section_is_listed_with_its_default(text: str, model: type[Section]) -> None:
    listed = {
        line.split("|")[1].strip(" `"): line.split("|")[2].strip()
        for line in text.splitlines()
        if "|" in line
    }

    for own, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        name = field.alias or own
        if field.is_required() or name == "dataset":
            assert listed[name] == ""
        elif isinstance(default, Step | Plateau):
            assert listed[name] == ", ".join(
                f"{key} {value:g}" for key, value in default.model_dump().items()
            )
        elif isinstance(default, Augmentation):
            assert default == Augmentation()
            assert listed[name] == "none"
        else:
            assert listed[name] == written(default)


def test_every_key_of_an_augmentation_is_listed_with_its_default() -> None:
    table = section("training").split("### Augmentation")[1].split("\n### ")[0]
    listed = dict(re.findall(r"\| `(\w+\.\w+)` \| (\S+) \|", table))

    kinds = {"image": Augmentation().image, "series": Augmentation().series}
    assert listed == {
        f"{kind}.{key}": written(value)
        for kind, one in kinds.items()
        for key, value in one.model_dump().items()
    }


def test_every_key_of_privacy_is_listed_with_its_default() -> None:
    table = section("training").split("### Private training")[1].split("\n### ")[0]
    listed = dict(re.findall(r"\| `(\w+)` \| (\S*) ?\|", table))

    assert listed == {
        name: "" if field.is_required() else written(field.default)
        for name, field in Privacy.model_fields.items()
    }


def written(default: object) -> str:
    plain = f"{default:g}" if isinstance(default, float) else str(default)
    return {"None": "none", "True": "yes", "()": "none", "{}": "none"}.get(plain, plain)


def test_the_example_is_a_recipe_whose_layers_fit() -> None:
    recipe = Recipe.parse(example("yaml"))

    assert check(blueprint_of(recipe)) > 0


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


def test_every_task_is_listed() -> None:
    assert first_column(section("tasks")) == list(get_args(Task))


def test_the_anomaly_recipe_shown_fits_the_example() -> None:
    shown: Any = Document(re.findall(r"```yaml\n(.*?)```", section("tasks"), re.DOTALL)[0], "tasks").data
    churn: Any = Document(example("yaml"), "churn").data
    del churn["labels"], churn["data"]["target"]

    assert check(blueprint_of(Recipe.model_validate({**churn, **shown}))) > 0
