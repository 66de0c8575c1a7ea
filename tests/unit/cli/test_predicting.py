"""A prediction as one line for a person."""

from io import BytesIO
from pathlib import Path

import pytest

from cli.endless import TooLong, whole
from cli.errors import WrongUsage
from cli.predicting import line, parsed, share_text, tensor_text


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (
            {"key": "patient:17", "label": "benign", "probabilities": {"malignant": 0.018, "benign": 0.982}},
            ["patient:17", "benign", "benign 98.2%  malignant 1.8%", ""],
        ),
        ({"value": 2.5, "filled": ["age"]}, ["3", "2.5", "", "filled: age"]),
        ({"value": 2.5, "version": 4}, ["3", "2.5", "", "version 4"]),
        ({"value": 2.5, "version": 4, "filled": ["age"]}, ["3", "2.5", "", "version 4; filled: age"]),
        (
            {"value": 2.5, "quantiles": {"0.1": 1.5, "0.5": 2.5, "0.9": 4.0}},
            ["3", "2.5", "0.1: 1.5  0.9: 4", ""],
        ),
        ({"value": 2.5, "quantiles": {"0.5": 2.5}}, ["3", "2.5", "0.5: 2.5", ""]),
        ({"values": {"a": 1.0, "b": 2.5}, "quantiles": {"a": {"0.5": 1.0}}}, ["3", "a 1, b 2.5", "", ""]),
        (
            {"values": dict.fromkeys("abcdefghi", 1.0)},
            ["3", ", ".join(f"{name} 1" for name in "abcdefgh") + ", ...", "", ""],
        ),
        ({"forecast": [[1.0, 2.0], [3.0, 4.5]]}, ["3", "[1, 2, 3, 4.5]", "", ""]),
        ({"anomaly_score": 7.5, "anomaly": True}, ["3", "7.5, an anomaly", "", ""]),
        ({"anomaly_score": 0.5, "anomaly": False}, ["3", "0.5", "", ""]),
        ({"labels": [], "probabilities": {"a": 0.1}}, ["3", "none", "a 10.0%", ""]),
        ({"outputs": {"y": [[1.0, 2.0]]}}, ["3", "y [1, 2]", "", ""]),
        (
            {
                "key": "patient:99",
                "error": {"code": "key_missing", "message": "key 'patient:99' is not in Redis"},
            },
            ["patient:99", "-", "key 'patient:99' is not in Redis", ""],
        ),
    ],
)
def test_a_row_is_one_line(row: dict[str, object], shown: list[str]) -> None:
    assert line(3, row) == shown


def test_a_long_tensor_is_shortened() -> None:
    assert tensor_text([[float(n) for n in range(6)]] * 2) == "[0, 1, 2, 3, 4, 5, 0, 1, ...]"
    assert tensor_text(0.5) == "0.5"


@pytest.mark.parametrize(
    ("share", "text"), [(0.5, "50.0%"), (0.99999, ">99.9%"), (1e-9, "<0.1%"), (1.0, "100.0%"), (0.0, "0.0%")]
)
def test_what_is_almost_certain_does_not_look_certain(share: float, text: str) -> None:
    assert share_text(share) == text


def test_what_never_ends_is_read_no_further_than_allowed() -> None:
    endless = BytesIO(bytes(3 << 20))

    with pytest.raises(TooLong, match="more than 1,500,000 bytes"):
        whole(endless, 1_500_000)

    assert endless.tell() == 1_500_001
    assert whole(BytesIO(b"12345"), 5) == b"12345"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero to read from")
def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.predicting.BODY_MOST", 4096)

    with pytest.raises(
        WrongUsage, match=r"--instances @/dev/zero: it has more than 4,096 bytes, and a server"
    ):
        parsed("--instances", "@/dev/zero")
