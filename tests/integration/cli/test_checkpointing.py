"""Trainings that are kept: Ctrl-C ends one in order, --resume goes on, and wrong usage is told."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import ROOT, Result, Running

Insitu = Callable[..., Result]
Start = Callable[..., Running]

pytest.importorskip("torch", reason="the extra `trainer` is not installed")


def test_ctrl_c_ends_after_the_epoch_and_the_same_command_with_resume_goes_on(
    insitu: Insitu, running: Start, tmp_path: Path
) -> None:
    recipe = tmp_path / "few.yaml"
    recipe.write_text(
        (ROOT / "models" / "recipes" / "digits.yaml").read_text().replace("epochs: 30", "epochs: 9")
    )
    words = ("train", str(recipe), "--checkpoint", str(tmp_path / "kept"))
    begun = running(*words, "--load", "--json")
    begun.line_with('"epoch": 3,')

    begun.process.send_signal(signal.SIGINT)
    stopped = json.loads(begun.line_with('"stopped"'))

    assert begun.process.wait(30) == 130
    assert stopped["resumable"] is True
    assert insitu("models", "--json").json == []
    other = insitu(*words, "--resume")
    assert other.code == 0, other.err
    assert f"goes on after epoch {stopped['epoch']} of 9" in other.err
    assert list((tmp_path / "kept").iterdir()) == []


def test_ctrl_c_without_a_checkpoint_ends_at_once_with_a_word(running: Start) -> None:
    begun = running("train", "digits", "--load", fresh=True)
    begun.line_with("read")

    begun.process.send_signal(signal.SIGINT)

    assert "nothing was published" in begun.line_with("digits: stopped")
    assert begun.process.wait(30) == 130


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digits", "--resume"), "name the directory that keeps the training: --checkpoint DIR"),
        (("digits", "--checkpoint-epochs", "3"), "name the directory that keeps the training"),
        (("digits", "breast_cancer", "--checkpoint", "x"), "--checkpoint takes one recipe, 2 are given"),
    ],
)
def test_what_cannot_be_kept_is_told_before_any_work(
    insitu: Insitu, words: tuple[str, ...], told: str
) -> None:
    wrong = insitu("train", *words)

    assert wrong.code == 2
    assert told in wrong.error
