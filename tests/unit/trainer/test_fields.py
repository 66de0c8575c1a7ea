"""Fields beside the features: of a hash or of a document, called by the view's names or by those of members."""

import pytest

from models.errors import BadRecipe
from models.recipe import Recipe
from trainer.datasets.fields import Fields, fields_at, fields_of

USERS = """\
name: users
task: classification
data: {source: redis, match: "user:*", target: {key: "user:{id}", as: json, field: left}}
features:
  inputs:
    - name: x
      sources: [{key: "user:{id}", as: json, fields: [age, {name: left, path: "$.before.left"}]}]
labels: ["false", "true"]
network: [{linear: 4}]
"""


def test_a_target_is_a_member_whatever_the_view_calls_its_fields() -> None:
    recipe = Recipe.parse(USERS)
    target = recipe.data.target

    assert fields_of(target).paths == ("$.left",)  # type: ignore[arg-type]  # the recipe's is one of fields
    assert fields_at(recipe, "user:{id}", ("left", "plan")).paths == ("$.before.left", "$.plan")
    assert fields_at(recipe, "other:{id}", ("left",)).paths is None


def test_a_field_that_is_the_target_by_its_path_is_refused() -> None:
    with pytest.raises(BadRecipe, match=r"which is the target as well"):
        Recipe.parse(USERS.replace("field: left", 'field: "$.before.left"'))


@pytest.mark.parametrize(
    ("reply", "texts"),
    [
        (b'{"$.a":[1.50],"$.b":[true]}', ["1.50", "true"]),
        (b'{"$.a":["x",2],"$.b":[null]}', ["x", None]),
        (b'{"$.a":[[1]],"$.b":[]}', ['["1"]', None]),
        (None, [None, None]),
        (b"torn", [None, None]),
    ],
)
def test_what_a_document_holds_is_read_as_text(reply: bytes | None, texts: list[str | None]) -> None:
    assert Fields(("a", "b"), ("$.a", "$.b")).texts(reply) == texts


def test_one_path_is_answered_without_its_name() -> None:
    assert Fields(("a",), ("$.a",)).texts(b"[7]") == ["7"]
    assert Fields(("a",)).texts([b"7"]) == ["7"]
