"""Why a row is predicted as it is, in a real browser: of what is predicted, whatever that is."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from models.answers import AnswerSpec
from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.features import FeatureView
from tests.e2e.conftest import apart, published
from tests.integration.rest.graphs import CHURN_VIEW, CHURN_WEIGHTS, churn, linear

if TYPE_CHECKING:
    from playwright.sync_api import Page


def careful() -> Bundle:
    """Return a model that says `leaves` from a chance of 0.02 on."""
    found = churn("careful")
    return Bundle(found.manifest.model_copy(update={"threshold": 0.02}), found.onnx)


def odd() -> Bundle:
    """Return a model whose number says how unlike the others a customer is."""
    wording = Wording(features=FeatureView.read(CHURN_VIEW), task="anomaly", answer=AnswerSpec(threshold=1.5))
    return compose_bundle(linear(CHURN_WEIGHTS[:, :1]), "odd", wording)


def why(page: "Page", address: str) -> str:
    page.goto(address)
    page.fill("#rows", "customer:1")
    page.click("text=Predict >> nth=-1")
    page.wait_for_selector(".repeat")
    page.click("text=Why?")
    page.wait_for_selector(".signed li")
    return page.inner_text(".why")


def test_the_predicted_label_is_explained_also_where_another_is_likelier(
    page: "Page", serve: Callable[..., str], redis_url: str
) -> None:
    url = serve()
    apart(published(redis_url, careful()))

    told = why(page, f"{url}/#/models/careful")

    assert page.inner_text(".verdict") == "leaves"
    assert "leaves 2.9 % instead of 50.0 %" in told
    assert page.input_value(".why select") == "leaves"
    assert page.locator("dd:has-text('leaves from 0.02 on')").count() == 1
    page.select_option(".why select", "stays")
    page.wait_for_selector(".why:has-text('stays 97.1 %')")


def test_an_anomaly_is_explained(page: "Page", serve: Callable[..., str], redis_url: str) -> None:
    url = serve()
    apart(published(redis_url, odd()))

    told = why(page, f"{url}/#/models/odd")

    assert "an anomaly" in page.inner_text(".verdict")
    assert "y 1.75 instead of 0" in told
