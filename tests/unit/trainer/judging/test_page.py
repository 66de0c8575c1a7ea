"""The model card as a page: whole, self-contained, and safe whatever a label or a description says."""

from html.parser import HTMLParser
from typing import Any

import pytest

from models.manifest import Manifest
from models.tensors import TensorSpec
from trainer.judging.page import page
from trainer.judging.sheets.drawing import Line, Scale, chart, nice
from trainer.judging.sheets.markup import Markup, figure, table, tag

EVIL = "<script>alert(1)</script>\"'&"
CARD: dict[str, Any] = {
    "data": {
        "source": "redis",
        "place": "user:*",
        "rows": {"train": 300, "validation": 60, "held_out": 1200, "skipped": {"not_a_number": 3}},
    },
    "held_out": {"rows": 3, "seed": 7, "sha256": "ab" * 32, "keys": [f"user:{at}" for at in range(20)]},
    "training": {
        "epochs": 3,
        "best_epoch": 2,
        "stopped_early": True,
        "notes": ["the mean of 5 networks is served; <b>"],
        "device": "cpu",
        "seconds": {"fit": 1.25},
        "privacy": {"epsilon": 2.9, "delta": 1e-05, "clip": 1.0, "noise": 1.1, "steps": 280},
        "curve": [[1, 0.9, 0.8, 0.5], [2, 0.2, 0.3, 0.8], [3, 0.02, 0.4, 0.8]],
    },
    "baseline": {"name": "a linear model"},
    "diagnosis": {
        "verdict": "overfitting",
        "metric": "accuracy",
        "findings": ["accuracy 0.9 on its own rows", "it is worse on others"],
        "signs": [{"sign": "overfitting", "says": "it is worse on others", "change": "take more rows"}],
        "data_curve": [[40, 0.7], [80, 0.8], [160, 0.85]],
    },
    "confusion": [[80, 20], [5, 95]],
    "labels": {"stays": {"precision": 0.94, "recall": 0.8, "f1": 0.86, "rows": 100}},
    "intervals": {"accuracy": [0.8, 0.95]},
    "calibration": {
        "temperature": 1.7,
        "validation": {"rows": 60},
        "before": {"log_loss": 0.5, "brier": 0.2, "ece": 0.1},
        "after": {"log_loss": 0.4, "brier": 0.18, "ece": 0.02},
        "bins": [[0.5, 0.6, 10, 0.55, 0.5], [0.9, 1.0, 90, 0.95, 0.97]],
    },
    "decision": {
        "positive": "leaves",
        "rule": "a false positive costs 1, a false negative 20",
        "threshold": 0.05,
        **{
            part: {
                "true_positives": 9.0,
                "false_positives": 4.0,
                "precision": 0.7,
                "recall": 1.0,
                "cost": 0.1,
            }
            for part in ("validation", "held_out", "held_out_at_one_half")
        },
    },
    "attributions": {"features": {f"feature {at}": 0.3 / (at + 1) for at in range(25)}},
    "fairness": {
        "bound": 0.1,
        "fields": [
            {
                "name": "sex",
                "groups": [
                    {
                        "group": "f",
                        "rows": 60,
                        "scores": {"accuracy": 0.9},
                        "intervals": {"accuracy": [0.8, 0.97]},
                    },
                    {"group": "x", "rows": 3, "scores": {}, "few": True},
                ],
                "gaps": {"accuracy": 0.02, "demographic_parity": 0.3},
            }
        ],
    },
    "summary": {
        "labels": {"stays": {"train": 150, "validation": 30, "held_out": 600}},
        "target": {"least": 1.0, "mean": 2.0, "most": 3.0, "deviation": 0.5},
        "features": [
            {"name": f"f{at}", "least": 0, "mean": 1234567, "most": 2, "missing": 0.25} for at in range(30)
        ],
        "left_out": 5,
    },
    "cross_validation": {
        "metric": "accuracy",
        "rows": [100, 99],
        "scores": [0.75, 0.8125],
        "mean": 0.78125,
        "deviation": 0.0442,
    },
    "search": {
        "by": "validation loss",
        "best": 2,
        "trials": [
            {"values": {"training.lr": 0.1 / (at + 1)}, "state": "complete", "value": at / 8, "epochs": 4}
            for at in range(22)
        ],
    },
    "quantization": {
        "served": "fp16",
        "metric": "accuracy",
        "float32": {"size_bytes": 4096, "score": 0.9, "refused": None, "batch_1_us": 9.5, "batch_64_us": 15},
        "tried": {
            "int8": {"size_bytes": 3045, "score": 0.8, "refused": "it is slower here"},
            "fp16": {"size_bytes": 2048, "score": 0.9, "refused": None},
        },
    },
    "parity": {"largest_difference": 1e-7, "tolerance": 1e-4},
    "made_with": {"torch": "2.13.0"},
}

SAID = (
    "Take more rows.",
    "0.800 to 0.950",
    "1.2 MB",
    "1,200 held out",
    "Left out: 3 not a number",
    "temperature of 1.7",
    "leaves</b> is said from a probability of 0.05",
    "over the bound",
    "Too few rows to count for a gap: x",
    "6 more features",
    "user:11 and 8 more",
    "within 1.0e-07 of PyTorch",
    "torch 2.13.0; operators ai.onnx 18",
    "stopped early",
    "(dotted line). The mean of 5 networks is served; &lt;b&gt;.",
    "The 20 features that count most, of 25",
    "own score",
    "From <code>user:*</code> in Redis.",
    "epsilon 2.9 at delta 1e-05</b>, spent in 280 steps",
    "Accuracy: <b>0.7812 ± 0.0442</b> over 2 folds.",
    "Trial 2 of 22 is the best",
    "2 more trials",
    "it is slower here",
    "<b>served</b>",
    "30.0%",
)


def manifest(card: Any = CARD, **facts: Any) -> Manifest:
    spec = TensorSpec(name="p", dtype="float32", shape=("batch", 2))
    usual: dict[str, Any] = {
        "task": "classification",
        "labels": ("stays", "leaves"),
        "output": "p",
        "metrics": {"accuracy": 0.9, "baseline_accuracy": 0.85, "own_score": 1234.5},
        "recipe": {"name": "churn", "network": ["relu"]},
        "opset": {"": 18},
        "digest": "cd" * 32,
        "size_bytes": 1_234_567,
        "version": 3,
    }
    return Manifest(name="churn", inputs=(spec,), outputs=(spec,), card=card, **(usual | facts))


class Reader(HTMLParser):
    """Every element with its attributes, every text; fails on tags that do not close one another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(of: Manifest) -> tuple[str, Reader]:
    text = page(of).decode()
    return text, Reader(text)


def test_a_whole_card_tells_every_chapter() -> None:
    text, reader = read(manifest())

    chapters = text.split("<h2>")[1:]
    assert [chapter.split("<")[0] for chapter in chapters] == [
        "Scores",
        "Verdict",
        "Cross-validation",
        "Decision",
        "Training",
        "Search",
        "Answers",
        "Calibration",
        "What counts",
        "Fairness",
        "Data",
        "Recipe",
        "Quantization",
        "Made with",
    ]
    assert reader.open == []
    for said in SAID:
        assert said in text, said


def test_a_page_needs_nothing_from_anywhere_and_runs_nothing() -> None:
    text, reader = read(manifest())

    fetched = {"src", "href", "srcset", "data", "action", "poster"}
    assert {name for name, _ in reader.elements} & {"script", "link", "img", "iframe", "object"} == set()
    assert not any(set(attributes) & fetched for _, attributes in reader.elements)
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)
    assert "default-src &#x27;none&#x27;" in text
    assert "url(" not in text
    assert "@import" not in text


def poisoned(value: Any) -> Any:
    """The same data with something evil in every text and behind every name that is not the card's own."""
    if isinstance(value, dict):
        return {key: poisoned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one) for one in value]
    return value + EVIL if isinstance(value, str) else value


def test_whatever_a_card_says_it_is_text() -> None:
    card = poisoned(CARD)
    card["attributions"] = {"features": {EVIL: 0.5}}
    card["labels"] = {EVIL: CARD["labels"]["stays"]}
    card["summary"]["labels"] = {EVIL: {"train": 3}}
    card["fairness"]["fields"][0]["gaps"] = {EVIL: 0.5}
    card["made_with"] = {EVIL: EVIL}
    facts = {
        "description": EVIL,
        "labels": (EVIL, "leaves"),
        "metrics": {EVIL: 0.5},
        "recipe": {EVIL: [EVIL]},
    }

    text, reader = read(manifest(card, **facts))

    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 20
    assert reader.open == []


def test_a_model_without_a_card_has_a_page() -> None:
    bare = manifest({}, metrics={}, recipe=None, version=0, size_bytes=0, digest="", opset={})

    text, reader = read(bare)

    assert "<h2>" not in text
    assert "version 0" not in text
    assert reader.open == []


@pytest.mark.parametrize(
    "card",
    [
        {"training": {"epochs": 1, "curve": [[1, 0.5, None, None]]}},
        {"diagnosis": {"verdict": "good", "findings": ["all is well"]}},
        {"diagnosis": {"verdict": "leakage suspected", "findings": ["it knows"], "data_curve": [[5, 0.1]]}},
        {"calibration": {"temperature": 1.0, "after": {"ece": 0.1}, "bins": []}},
        {"confusion": [[1, 0], [0, 0]]},
        {"fairness": {"bound": 0.1, "fields": [{"name": "sex"}]}},
        {"data": {}, "held_out": {"seed": 1, "sha256": "x"}},
        {"made_with": {"torch": "2"}, "attributions": {"features": {"a": None}}},
        {"summary": {"features": []}},
    ],
)
def test_a_card_that_tells_little_is_shown_as_far_as_it_goes(card: dict[str, Any]) -> None:
    _, reader = read(manifest(card, opset={}))

    assert reader.open == []


def test_what_adds_to_a_value_is_written_in_its_unit() -> None:
    card = {"attributions": {"of": "the value", "features": {"area": 81234.5, "rooms": 0.25}}}

    text, _ = read(manifest(card, task="regression", labels=()))

    assert ("81,234.5" in text, "0.25" in text, "%" in text.split("What counts")[1]) == (True, True, False)


def test_a_large_matrix_is_drawn_without_numbers_and_long_labels_are_cut() -> None:
    labels = tuple(f"a label that is longer than there is room {at}" for at in range(30))
    matrix = [[1 if row == column else 0 for column in range(30)] for row in range(30)]
    spec = TensorSpec(name="p", dtype="float32", shape=("batch", 30))

    text = page(wide(spec, labels, matrix)).decode()

    assert 'class="matrix crowded tiny"' in text
    assert "a label that is longe…" in text


def wide(spec: TensorSpec, labels: tuple[str, ...], matrix: list[list[int]]) -> Manifest:
    usual: dict[str, Any] = {"task": "classification", "output": "p", "card": {"confusion": matrix}}
    return Manifest(name="many", labels=labels, inputs=(spec,), outputs=(spec,), **usual)


def test_private_names_stand_nowhere_on_the_page() -> None:
    recipe = {
        "private": ["income"],
        "features": {"inputs": [{"sources": [{"fields": [{"name": "debt", "private": True}]}]}]},
    }
    card = CARD | {
        "attributions": {"features": {"income": 0.6, "debt": 0.4}},
        "diagnosis": {"verdict": "good", "findings": ["income tells all"], "signs": []},
    }

    text = page(manifest(card, recipe=recipe, description="What income tells")).decode()

    assert "income" not in text
    assert "debt" not in text
    assert "What private 1 tells" in text
    assert "private 2" in text


def test_markup_is_escaped_unless_it_was_made_as_markup() -> None:
    assert tag("p", "<b>", tag("b", 1), None, ["x", 2.5]) == "<p>&lt;b&gt;<b>1</b>x2.5</p>"
    assert tag("p", class_="a", stroke_width='"', left=None) == '<p class="a" stroke-width="&quot;"></p>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert isinstance(table(("a",), [("b",)]), Markup)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98591, "0.9859"),
        (1.0, "1"),
        (1234567, "1,234,567"),
        (4000.0, "4,000"),
        (1234.56, "1,234.6"),
        (0.00012345, "0.000123"),
        (float("nan"), "none"),
        (True, "True"),
        ("x", "x"),
    ],
)
def test_a_number_is_written_as_a_person_reads_it(value: object, text: str) -> None:
    assert figure(value) == text


def test_a_scale_has_ticks_that_read_well() -> None:
    assert Scale(0, 1, 0, 100).ticks() == [0, 0.5, 1]
    assert Scale(0.002, 3, 0, 100, powers=True).ticks() == pytest.approx([0.01, 0.1, 1])
    assert Scale(0.02, 0.9, 0, 100, powers=True).ticks() == pytest.approx([0.02, 0.05, 0.1, 0.2, 0.5])
    assert Scale(5, 5, 0, 100).at(5) == 50
    assert nice(0) == 1
    assert nice(0.3) == 0.5


def test_a_curve_that_falls_far_is_drawn_over_powers_of_ten() -> None:
    far = chart([Line("a", "first", ((1, 10.0), (2, 0.01)))], ("epoch", "loss"), mark=2)
    near = chart([Line("", "first", ((1, 1.0), (2, 1.0)), (3, 3))], ("epoch", "loss"))

    assert ">0.1</text>" in far
    assert "mark" in far
    assert near.count("<circle") == 2
    assert "figcaption" not in near
