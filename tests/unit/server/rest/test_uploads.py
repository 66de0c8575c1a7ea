"""Words that come with a model file."""

import pytest

from models.errors import BadFeatureView, BadName
from server.rest import uploads
from server.rest.refusals import ParameterRefused

VIEW = "inputs: [{name: x, sources: [{key: 'a:{id}', as: hash, fields: [b]}]}]"


def test_what_is_not_said_is_left_to_be_found() -> None:
    wording = uploads.worded({})

    assert (wording.features, list(wording.labels), wording.task, wording.output) == (None, [], None, None)


def test_a_feature_view_is_read_from_yaml() -> None:
    wording = uploads.worded({"features": VIEW})

    assert wording.features is not None
    assert [source.key for source in wording.features.keyed] == ["a:{id}"]


def test_a_feature_view_that_is_none_is_refused() -> None:
    with pytest.raises(BadFeatureView):
        uploads.worded({"features": "inputs: 7"})


@pytest.mark.parametrize(
    ("text", "labels"),
    [("", []), (" ", []), ("a,b", ["a", "b"]), (" a , b ", ["a", "b"]), ('["a, b", "c"]', ["a, b", "c"])],
)
def test_labels_are_a_list_in_either_form(text: str, labels: list[str]) -> None:
    assert uploads.the_labels(text) == labels


@pytest.mark.parametrize("text", ["[", "[1, 2]", "[[]]"])
def test_labels_that_are_no_list_of_texts_are_refused(text: str) -> None:
    with pytest.raises(ParameterRefused, match="labels"):
        uploads.the_labels(text)


def test_an_unknown_task_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ParameterRefused, match="classification, multilabel, regression, forecasting, anomaly, tensor"
    ):
        uploads.the_task("clasification")


@pytest.mark.parametrize(
    ("said", "alias"), [({}, "production"), ({"alias": "canary"}, "canary"), ({"alias": ""}, None)]
)
def test_production_is_moved_unless_another_alias_or_none_is_named(
    said: dict[str, str], alias: str | None
) -> None:
    assert uploads.the_alias(said) == alias


def test_an_alias_that_is_none_is_refused() -> None:
    with pytest.raises(BadName):
        uploads.the_alias({"alias": "Prod!"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("label", "a")], "field 'label' is not known; did you mean 'labels'?"),
        ([("zzz", "a")], "field 'zzz' is not known; there are features"),
        ([("task", "tensor"), ("task", "tensor")], "field 'task' is given twice"),
        ([("description", "x" * 70_000)], "field 'description' has 70000 characters"),
    ],
)
def test_a_field_that_would_be_misread_is_refused(given: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ParameterRefused) as refused:
        uploads.texts(given, uploads.FIELDS[1:])

    assert message in str(refused.value)
