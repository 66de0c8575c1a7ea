"""Cases: their arithmetic, their claims, and the page that explains them."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from benchmarks.cases import overload, soak
from benchmarks.cases.catalogue import CASES, chosen
from benchmarks.features import FIELDS, KINDS, ROWS, bodies, key, view
from benchmarks.networks import WIDTH, certain
from benchmarks.options import Options
from models.features import FeatureView

PAGE = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text()


def test_every_case_is_explained() -> None:
    for case in CASES:
        assert f"\n### {case.name}\n" in PAGE, case.name


def test_every_claim_is_said_once() -> None:
    texts = [claim.text for case in CASES for claim in case.claims]

    assert len(texts) == len(set(texts))


def test_the_whole_run_is_expected_to_take_less_than_twenty_minutes() -> None:
    assert sum(case.seconds(Options()) for case in CASES) < 20 * 60


def test_cases_are_run_in_their_order_whatever_the_order_asked() -> None:
    assert [case.name for case in chosen(Options(only=("soak", "comparison")))] == ["comparison", "soak"]
    assert chosen(Options()) == list(CASES)


def test_growth_is_told_from_when_everything_is_warm() -> None:
    samples = [(float(second), 100.0 if second < 10 else 200.0) for second in range(90)]
    samples += [(float(second), 210.0) for second in range(90, 100)]

    grown = soak.growth(samples)

    assert grown == {"memory_mb": 210.0, "growth_mb": 10.0, "growth": pytest.approx(0.05)}


def test_a_short_run_tells_no_growth() -> None:
    assert soak.growth([(float(second), 100.0 + second) for second in range(20)]) == {"memory_mb": 118.5}


def test_overload_shares_are_of_what_was_sent() -> None:
    seen = {
        "sent": 100,
        "held_back": 20,
        "lost": 1,
        "statuses": {"200": 30, "429": 60, "504": 5, "500": 4},
        "accepted": {"p50_ms": 10.0, "p99_ms": 20.0, "max_ms": 30.0},
        "refused": {"p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0},
    }

    told = overload.figures(seen, 2.0)

    assert (told["offered_rate"], told["rate"]) == (60.0, 15.0)
    assert (told["share_429"], told["share_504"]) == (0.6, 0.05)
    assert told["errors"] == 5.0
    assert told["p99_ms"] == 20.0


def test_the_networks_that_are_switched_tell_odd_from_even() -> None:
    rows = np.random.default_rng(1).normal(0, 3, (100, WIDTH)).astype(np.float32)

    odd, even = (ort.InferenceSession(certain(version)).run(["value"], {"x": rows})[0] for version in (1, 2))

    assert odd.max() < 0.5 <= even.min()


@pytest.mark.parametrize("kind", KINDS)
def test_the_feature_view_reads_the_keys_that_are_asked_for(kind: str) -> None:
    source = FeatureView.read(view(kind)).inputs[0].sources[0]

    assert key(kind, 7) in bodies(kind)[7]
    assert len(bodies(kind, 100)) == ROWS // 100
    assert source.kind == kind
    assert len(FIELDS) == WIDTH
