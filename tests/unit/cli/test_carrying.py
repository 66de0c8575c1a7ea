"""What of the version before a new one has, where the command line does not say it."""

import numpy as np
import pytest

from cli.carrying import composed_as_before
from models.composing import Wording
from models.errors import BadFeatureView, BadModelFile
from models.features import FeatureView
from tests.integration.rest import graphs

BEFORE = graphs.churn().manifest.model_copy(update={"version": 3})
ONNX = graphs.linear(graphs.CHURN_WEIGHTS, softmax=True)


def test_a_new_version_reads_and_answers_as_the_one_before() -> None:
    made, told = composed_as_before(ONNX, Wording(), BEFORE, viewless=False)

    assert (made.manifest.features, made.manifest.labels) == (BEFORE.features, BEFORE.labels)
    assert (made.manifest.task, made.manifest.output) == ("classification", "y")
    assert told == "reads features and words its answers"


def test_what_is_said_is_not_as_before() -> None:
    view = FeatureView.read(graphs.CHURN_VIEW)
    said, nothing = composed_as_before(ONNX, Wording(view, ("a", "b")), BEFORE, viewless=False)
    bare, _ = composed_as_before(ONNX, Wording(task="tensor"), BEFORE, viewless=True)

    assert (said.manifest.labels, nothing) == (("a", "b"), "")
    assert (bare.manifest.features, bare.manifest.labels, bare.manifest.task) == (None, (), "tensor")


def test_what_does_not_fit_any_more_is_refused_with_what_to_say() -> None:
    wider = graphs.linear(np.ones((3, 2), np.float32), softmax=True)
    more = graphs.linear(np.ones((2, 3), np.float32), softmax=True)

    with pytest.raises(BadFeatureView, match=r"as version 3: add --features VIEW.yaml, or --features none"):
        composed_as_before(wider, Wording(), BEFORE, viewless=False)
    with pytest.raises(BadModelFile, match=r"as version 3: add --labels A,B,..., or --task tensor"):
        composed_as_before(more, Wording(), BEFORE, viewless=True)


def test_a_fault_of_the_file_is_told_as_it_is() -> None:
    with pytest.raises(BadModelFile, match="no ONNX model") as caught:
        composed_as_before(b"no model", Wording(), BEFORE, viewless=False)

    assert "version 3" not in str(caught.value)
