"""A feature view says what it means, or is refused at its place with a cure."""

import json
import re
import time
from typing import Any

import pytest

from models.errors import BadFeatureView
from models.features import VIEW_LIMIT_BYTES, FeatureView
from models.sources import HashSource, InlineSource, JsonField, ListSource, VectorSource, json_path
from tests.unit.models.views import view

HASH = {"key": "p:{id}", "as": "hash", "fields": ["age"]}
EXAMPLE = """
features:
  inputs:
    - name: x
      sources:
        - {key: "txn:{txn_id}", as: hash, fields: [amount, {name: country, categories: [DE, FR, US], unknown: US},
           {name: age, default: 0}]}
        - {key: "customer:{customer_id}:ref", as: vector, dtype: float32, shape: [256]}
        - {inline: true, fields: [hour]}
"""


def test_the_view_of_the_design_page_is_read() -> None:
    found = FeatureView.parse(EXAMPLE)

    txn, customer, request = found.inputs[0].sources
    assert isinstance(txn, HashSource)
    assert [field.name for field in txn.fields] == ["amount", "country", "age"]
    assert txn.fields[1].categories == ("DE", "FR", "US")
    assert (txn.fields[1].unknown, txn.fields[2].default) == ("US", 0)
    assert isinstance(customer, VectorSource)
    assert customer.shape == (256,)
    assert isinstance(request, InlineSource)
    assert [field.name for field in request.fields] == ["hour"]


def test_the_level_above_may_be_left_out() -> None:
    without = "\n".join(line[2:] for line in EXAMPLE.splitlines()[2:])

    assert FeatureView.parse(without) == FeatureView.parse(EXAMPLE)


def test_json_and_bytes_are_read_as_well_as_yaml() -> None:
    data = {"inputs": [{"name": "x", "sources": [HASH]}]}

    read = FeatureView.read(data)
    assert FeatureView.parse(json.dumps(data)) == read
    assert FeatureView.parse(json.dumps(data, indent="\t").encode()) == read
    assert FeatureView.parse(b"\xef\xbb\xbf" + json.dumps(data).encode()) == read


def test_json_escapes_are_json_not_yaml() -> None:
    found = FeatureView.parse(
        '{"inputs": [{"name": "\\ud83d\\ude00", "sources": [{"inline": true, "fields": ["a"]}]}]}'
    )

    assert found.inputs[0].name == "😀"


def test_a_view_survives_its_stored_form() -> None:
    found = FeatureView.parse(EXAMPLE)

    assert FeatureView.model_validate_json(found.model_dump_json(by_alias=True)) == found
    assert FeatureView.read(found.model_dump(by_alias=True)) == found


def test_the_keyed_sources_are_in_order_without_the_request() -> None:
    assert [source.key for source in FeatureView.parse(EXAMPLE).keyed] == [
        "txn:{txn_id}",
        "customer:{customer_id}:ref",
    ]


@pytest.mark.parametrize("inline", [{"inline": True}, {"as": "inline"}, {"as": "inline", "inline": True}])
def test_the_request_is_a_source_however_it_is_written(inline: dict[str, Any]) -> None:
    source = view({**inline, "fields": ["hour"]}).inputs[0].sources[0]

    assert isinstance(source, InlineSource)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("age", "$.age"),
        ("first-name", '$["first-name"]'),
        ("a.b", '$["a.b"]'),
        ('say "hi"', '$["say \\"hi\\""]'),
        ("größe", '$["größe"]'),
        ("$.deep.age", "$.deep.age"),
    ],
)
def test_a_json_field_is_found_at_the_top_of_the_document_unless_a_path_is_given(
    name: str, path: str
) -> None:
    assert json_path(name) == path
    assert JsonField(name=name).where == path
    assert JsonField(name=name, path="$.x").where == "$.x"


@pytest.mark.parametrize(("pad", "free"), [("none", True), ("left", False), ("right", False)])
def test_only_a_list_without_padding_leaves_the_length_free(pad: str, free: bool) -> None:
    steps = {"key": "u:{id}", "as": "list", "shape": [12], "last": 30, "pad": pad}

    found = view(steps).inputs[0]
    assert isinstance(found.sources[0], ListSource)
    assert found.free_length is free


def inputs(*sources: object, **facts: object) -> dict[str, object]:
    return {"inputs": [{"name": "x", "sources": list(sources), **facts}]}


def fields(*names: object, kind: str = "hash", **facts: object) -> dict[str, object]:
    return inputs({"key": "p:{id}", "as": kind, "fields": list(names), **facts})


VECTOR = {"key": "v:{id}", "as": "vector", "shape": [3]}
STEPS = {"key": "u:{id}", "as": "list", "shape": [3], "last": 5}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (None, "top level: should be a mapping (got None)"),
        ([], "top level: should be a mapping (got [])"),
        ({}, "inputs: is missing"),
        ({"inputs": []}, "inputs: the list should have at least 1 item"),
        ({"inputs": {}}, "inputs: should be a list (got {})"),
        ({"inputs": [5]}, "inputs.0: should be a mapping (got 5)"),
        ({"inputs": [{"name": "x"}]}, "inputs.0.sources: is missing"),
        ({"inputs": [{"name": "x", "sources": []}]}, "inputs.0.sources: the list should have at least 1 item"),
        ({"inputs": [{"name": "x", "sources": [HASH]}] * 2}, "an input is named twice"),
        ({"inputs": [{"name": "x", "sources": [HASH], "shpe": [1]}]}, "did you mean 'shape'?"),
        ({"inputs": [{"name": "", "sources": [HASH]}]}, "inputs.0.name: should have at least 1 character (got '')"),
        ({"inputs": [{"name": 5, "sources": [HASH]}]}, "should be text; quote it, YAML reads it otherwise (got 5)"),
        ({"inputs": [{"name": "\ud800", "sources": [HASH]}]}, "inputs.0.name: should be text"),
        ({"zzz": 1}, "zzz: is not known here"),
        (inputs(5), "inputs.0.sources.0: should be a mapping (got 5)"),
        (inputs({"key": "p:{id}"}), "`as` is missing; it says what the source is"),
        (
            inputs({"key": "p:{id}", "as": "hsh"}),
            "`as` is 'hsh'; it is one of: hash, json, vector, list, stream, feast, inline",
        ),
        (inputs({"as": "hash", "fields": ["a"]}), "inputs.0.sources.0.key: is missing"),
        (inputs({"key": "p:{id", "as": "hash", "fields": ["a"]}), "sources.0.key: key template 'p:{id': '{id' is no"),
        (inputs({"key": "p:{id}", "as": "hash"}), "inputs.0.sources.0.fields: is missing"),
        (fields(), "inputs.0.sources.0.fields: the list should have at least 1 item"),
        (fields(*map(str, range(4097))), "fields: the list should have at most 4096 items"),
        (fields("a", "a"), "field 'a' is listed twice"),
        (fields("a", "a", kind="json"), "field 'a' is listed twice"),
        (inputs({"inline": True, "fields": ["a", "a"]}), "field 'a' is listed twice"),
        (fields(5), "fields.0: should be a mapping (got 5)"),
        (fields({"nme": "a"}), "fields.0.nme: is not known here; did you mean 'name'?"),
        (fields("\ud800"), "fields.0.name: should be text"),
        (fields({"name": "c", "categories": [False]}), "categories.0: should be text; quote it, YAML reads it"),
        (fields({"name": "c", "categories": ["a", "a"]}), "field 'c' lists a category twice"),
        (fields({"name": "c", "categories": ["a"], "unknown": "b"}), "unknown 'b' is no category of it"),
        (fields({"name": "c", "categories": ["a"], "default": "b"}), "default 'b' is no category of it"),
        (fields({"name": "a", "default": float("nan")}), "default: should be a finite number or text (got nan)"),
        (fields({"name": "a", "default": float("inf")}), "default: should be a finite number or text (got inf)"),
        (fields({"name": "a", "default": "\ud800"}), "default: should be at most 512 characters of text"),
        (fields({"name": "a", "default": "x" * 513}), "default: should be at most 512 characters of text"),
        (fields({"name": "c", "categories": ["x" * 513]}), "categories.0: should have at most 512 characters"),
        (fields({"name": "c", "categories": ["\ud800"]}), "categories.0: should be text"),
        (fields({"name": "a", "default": [1]}), "default: should be a finite number or text (got [1])"),
        (fields({"name": "a", "path": "a.b"}, kind="json"), "fields.0.path: should match pattern"),
        (fields("a", max_age_seconds=5), "max_age_seconds needs time_field"),
        (fields("a", time_field="t", max_age_seconds=0), "max_age_seconds: should be greater than 0"),
        (fields("a", time_field="t", time_unit="min"), "time_unit: should be 's' or 'ms'"),
        (inputs({**VECTOR, "shape": 3}), "sources.0.shape: should be a list (got 3)"),
        (inputs({**VECTOR, "shape": []}), "sources.0.shape: the list should have at least 1 item"),
        (inputs({**VECTOR, "shape": [0]}), "sources.0.shape.0: should be greater than or equal to 1"),
        (inputs({**VECTOR, "shape": [1 << 26, 2]}), "shape has 134217728 elements, over 67108864"),
        (inputs({**VECTOR, "dtype": "string"}), "sources.0.dtype: should be 'bool', 'int8'"),
        (inputs({**VECTOR, "default": "a"}), "sources.0.default: should be a valid number"),
        (inputs({**STEPS, "last": 0}), "sources.0.last: should be greater than or equal to 1"),
        (inputs({**STEPS, "last": 65_537}), "sources.0.last: should be less than or equal to 65536"),
        (inputs({**STEPS, "shape": [4096], "last": 65_536}), "last times shape is over 67108864 elements"),
        (inputs({**STEPS, "pad": "middle"}), "sources.0.pad: should be 'none', 'left' or 'right'"),
        (inputs({**STEPS, "encoding": "csv"}), "sources.0.encoding: should be 'raw' or 'text'"),
        (inputs({"inline": False, "fields": ["a"]}), "sources.0.inline: should be True (got False)"),
        (inputs({"inline": True, "fields": [{"name": "a", "shape": [1 << 26, 2]}]}), "more than 67108864 elements"),
        (
            inputs({"inline": True, "fields": [{"name": "a", "shape": [2], "categories": ["x"]}]}),
            "field 'a' has a shape, so it takes no categories",
        ),
        (inputs(HASH, lengths="n"), "input 'x' has lengths but no list or stream source with pad: none"),
        (inputs({**STEPS, "pad": "left"}, lengths="n"), "input 'x' has lengths but no list or stream source"),
        (inputs(STEPS, shape=[15]), "input 'x' has a free length, so it takes no shape"),
        (inputs(STEPS, lengths="x"), "an input is named twice"),
        (inputs(*[HASH] * 33), "sources: the list should have at most 32 items"),
    ],
    ids=lambda value: None if isinstance(value, str) else "view",
)  # fmt: skip
def test_a_view_that_is_wrong_is_refused_at_its_place(data: object, fault: str) -> None:
    with pytest.raises(BadFeatureView, match=re.escape(fault)) as caught:
        FeatureView.read(data, "view.yaml")

    assert str(caught.value).startswith("view.yaml: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_three_faults_are_told_and_the_rest_counted() -> None:
    with pytest.raises(BadFeatureView, match=r"; and 4 more$"):
        FeatureView.read(fields(*range(7)))


def test_a_fault_in_yaml_is_told_with_its_line() -> None:
    text = EXAMPLE.replace("as: vector", "as: vektor")

    with pytest.raises(
        BadFeatureView, match=r"^v.yaml: line 8, inputs.0.sources.1: `as` is 'vektor'; it is one of"
    ):
        FeatureView.parse(text, "v.yaml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "should be a mapping"),
        ("inputs: [", "no YAML: "),
        ("inputs: 'x", "no YAML: "),
        ("\tinputs: x", "no YAML: "),
        ("a: 1\na: 2", "the key 'a' is given twice"),
        ('{"inputs": [], "inputs": []}', "the key 'inputs' is given twice"),
        ("? [a]\n: b", "a key is plain text"),
        ("a: &x [1]\nb: *x", "the alias *x is not followed"),
        ("a: !!python/object/apply:os.system [ls]", "no YAML: "),
        ("!!bool maybe", "no YAML: "),
        ("!!timestamp noon", "no YAML: "),
        ("2020-13-45", "no YAML: "),
        ("--- a\n--- b", "no YAML: "),
        ("a: \x00", "no YAML: "),
        ("a: '\ud800'", "no YAML: "),
        pytest.param("1" * 5000, "no YAML: ", id="5000 digits"),
        pytest.param("[" * 100_000, "nested deeper than 32 levels", id="nested YAML"),
        pytest.param('{"a":' * 100_000, "nested deeper than 32 levels", id="nested JSON"),
        pytest.param("a" * (VIEW_LIMIT_BYTES + 1), f"over {VIEW_LIMIT_BYTES} bytes", id="too large"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
    ],
)
def test_text_that_is_no_view_is_refused_by_name(text: str | bytes, fault: str) -> None:
    with pytest.raises(BadFeatureView, match=re.escape(fault)) as caught:
        FeatureView.parse(text, "v.yaml")

    assert str(caught.value).startswith("v.yaml")


def test_a_thousand_million_laughs_are_refused_before_the_first() -> None:
    laughs = "a0: &a0 [ha]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )
    started = time.process_time()

    with pytest.raises(BadFeatureView, match="the alias"):
        FeatureView.parse(laughs + "inputs: *a9")

    assert time.process_time() - started < 1


def test_the_largest_view_is_read_in_seconds() -> None:
    names = "".join(f"        - {{name: feature_{number}, default: 0}}\n" for number in range(4096))
    text = f"inputs:\n  - name: x\n    sources:\n      - key: 'a:{{id}}'\n        as: hash\n        fields:\n{names}"
    started = time.process_time()

    assert len(FeatureView.parse(text).inputs[0].sources[0].fields) == 4096  # type: ignore[union-attr]  # a hash

    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("default", "kept"), [(0, 0), (1.5, 1.5), ("x", "x"), (True, 1), (2**60 + 1, 2**60 + 1)]
)
def test_a_default_is_kept_as_it_is_written(default: object, kept: object) -> None:
    source = view({"inline": True, "fields": [{"name": "a", "default": default}]}).inputs[0].sources[0]

    found = source.fields[0].default  # type: ignore[union-attr]  # inline
    assert found == kept
    assert type(found) is type(kept)
