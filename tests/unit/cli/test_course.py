"""What is seen of a training: its place, its losses, the best so far, a curve."""

import io
from math import nan

import pytest
from rich.console import Console

from cli.course import CURVE_WIDTH, Course, curve
from cli.progress import Work
from cli.terminal import BLOCKS, Terminal
from cli.training_view import TrainingView
from trainer.events import EpochEnded, Noticed, StageBegan, StageEnded


def epoch(number: int, loss: float | None, score: float | None, *, best: bool) -> EpochEnded:
    return EpochEnded(number, 30, 0.5, loss, "accuracy", score, best, 12.0)


def test_a_course_tells_the_epoch_the_best_and_the_time_left() -> None:
    course = Course()

    course.see(epoch(1, 0.9, 0.8, best=True))
    course.see(epoch(2, 1.0, 0.7, best=False))

    assert (course.epoch, course.place) == (2, "after epoch 2 of 30")
    assert course.short == "loss 0.500 / 1.000, accuracy 0.700"
    assert course.lines == (
        "epoch 2 of 30, 12.0 s left, best accuracy 0.800 in epoch 1",
        "validation loss ▁█",
    )


def test_a_course_without_validation_shows_the_training_loss() -> None:
    course = Course()

    course.see(epoch(1, None, None, best=True))

    assert course.short == "loss 0.500"
    assert course.lines == ("epoch 1 of 30, 12.0 s left", "training loss ▁")


def test_a_course_that_has_not_begun_says_so() -> None:
    course = Course()

    assert (course.epoch, course.place) == (0, "before the first epoch")
    assert (course.short, course.lines) == ("", ())


def test_a_curve_falls_as_its_numbers_do_and_long_ones_are_thinned() -> None:
    assert curve([8.0, 4.0, 2.0, 1.0]) == "█▆▃▁"
    assert curve([]) == curve([0.0, nan]) == ""
    assert curve([4.0, nan, 1.0]) == "█ ▁"
    long = curve([2.0 ** (-number / 10) for number in range(1000)])
    assert len(long) == CURVE_WIDTH
    assert list(long) == sorted(long, reverse=True)
    assert set(long) == set(BLOCKS)


@pytest.fixture
def screen() -> tuple[Terminal, io.StringIO]:
    """A terminal that somebody watches."""
    written = io.StringIO()
    terminal = Terminal()
    terminal.err = Console(file=written, force_terminal=True, width=70, markup=False, highlight=False)
    return terminal, written


def test_who_watches_sees_lines_below_the_bar(screen: tuple[Terminal, io.StringIO]) -> None:
    terminal, written = screen

    with Work(terminal, "digits: fit", 30) as work:
        work.update(2, 30, "loss 0.5", ("epoch 2 of 30", "x" * 200))

    shown = written.getvalue()
    assert "digits: fit" in shown
    assert "epoch 2 of 30" in shown
    assert "x" * 60 in shown
    assert "x" * 70 not in shown


def test_a_view_tells_notes_and_where_a_training_was_stopped(screen: tuple[Terminal, io.StringIO]) -> None:
    terminal, written = screen

    with TrainingView(terminal, "digits") as view:
        view(StageBegan("fit", 30))
        view(Noticed("goes on after epoch 3 of 30"))
        view(epoch(4, 0.9, 0.8, best=True))
        view.stopped(None)
        view(StageEnded("fit", 1.0, "done"))

    shown = written.getvalue()
    assert "note: goes on after epoch 3 of 30" in shown
    assert "digits: stopped after epoch 4 of 30; nothing was published" in shown
    assert "--resume" not in shown


def test_a_training_that_is_stopped_after_its_epochs_says_in_which_stage(
    screen: tuple[Terminal, io.StringIO],
) -> None:
    terminal, written = screen

    with TrainingView(terminal, "digits") as view:
        view(StageBegan("fit", 30))
        view(StageEnded("fit", 1.0, "done"))
        view(StageBegan("export"))
        view.stopped(None)

    assert "digits: stopped in the stage export; nothing was published" in written.getvalue()
