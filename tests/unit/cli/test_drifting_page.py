"""docs/drift.md tells the truth: its commands are taken, its table has every column, its words are the verdicts."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from cli import program
from cli.drift_report import TEXTS
from models.drift import DRIFTED, SHIFTED, Verdict
from models.profiles import LEAST_ROWS, PARTS_MOST

PAGE = (Path(__file__).parents[3] / "docs" / "drift.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^(?:\$ )?insitu (drift [^#\n]+)", PAGE, re.MULTILINE)


@pytest.mark.parametrize("words", SHOWN)
def test_every_option_it_shows_is_one(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["drift", "--help"]) == 0

    listed = capsys.readouterr().out
    for word in shlex.split(words):
        assert not word.startswith("--") or f"\n  {word}" in listed


def test_every_column_and_verdict_is_told() -> None:
    told = {
        name
        for cell in re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
        for name in re.findall("`(.+?)`", cell)
    }

    assert told == {head.lstrip(">") for head in TEXTS}
    for verdict in get_args(Verdict):
        assert f"`{verdict}`" in PAGE
    assert f"`stable` below {SHIFTED}, `shifted` below {DRIFTED}" in PAGE
    assert f"fewer than {LEAST_ROWS} rows have" in PAGE
    assert f"first {PARTS_MOST} features" in PAGE


def test_every_link_leads_somewhere() -> None:
    folder = Path(__file__).parents[3] / "docs"
    for page, place in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGE):
        text = (folder / page).read_text(encoding="utf-8") if page else PAGE
        headings = {
            re.sub(r"[^\w -]", "", one).replace(" ", "-").lower()
            for one in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        assert not place or place in headings
