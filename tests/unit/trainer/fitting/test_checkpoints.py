"""Checkpoints: gone on with to the last bit, written whole, refused where they are of something else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.recipe import Recipe
from models.recipe_augmentation import Augmentation
from tests.unit.trainer.tables import SLOPES, clouds, recipe, slopes
from trainer.blueprints import blueprint_of
from trainer.errors import BadCheckpoint, CheckpointMismatch
from trainer.events import EpochEnded, Event, Noticed, silent
from trainer.fitting.beginning import Beginning, Learning, fitted
from trainer.fitting.checkpoints import Checkpoint, read
from trainer.fitting.fit import History
from trainer.table import Table
from trainer.tasks.task import task_of


class Killed(Exception):
    """What ends a training here in the middle of it."""


def killed_in(epoch: int) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            raise Killed

    return listen


def trained(
    made: Recipe,
    table: Table,
    checkpoint: Checkpoint | None = None,
    events: Callable[[Event], None] = silent,
) -> tuple[bytes, History]:
    """Fit as a training does, and return the weights; the table's own rows validate."""
    learning = Learning(blueprint_of(made), table, table, task_of(made, table), torch.device("cpu"))
    network, history = fitted(made, learning, events, Beginning(checkpoint))
    return b"".join(one.numpy().tobytes() for one in network.state_dict().values()), history


def every_epoch(path: Path, *, resume: bool = False) -> Checkpoint:
    return Checkpoint(path, every_seconds=1e9, every_epochs=1, resume=resume)


ALL_AT_ONCE: dict[str, Any] = {
    "epochs": 9,
    "optimizer": "momentum",
    "schedule": "plateau",
    "mixup": 0.3,
    "ema": 0.9,
    "clip": 1.0,
    "patience": 4,
    "accumulate": 2,
    "keep": "metric",
    "class_weights": "balanced",
    "augment": Augmentation.model_validate({"series": {"jitter": 0.1, "crop": 0.8}}),
}


@pytest.mark.parametrize(
    ("made", "table"),
    [
        (recipe(epochs=8, schedule="cosine"), clouds()),
        (recipe(epochs=8, schedule="one_cycle", lr=0.5, patience=3), clouds(60, apart=0.5)),
        (recipe(SLOPES, **ALL_AT_ONCE), slopes()),
    ],
    ids=["adamw", "early stop", "all at once"],
)
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_training_killed_and_resumed_gives_the_same_weights(
    tmp_path: Path, made: Recipe, table: Table, epoch: int
) -> None:
    path = tmp_path / "it.checkpoint"
    whole = trained(made, table)
    with pytest.raises(Killed):
        trained(made, table, every_epoch(path), killed_in(epoch))
    assert path.exists() is (epoch > 1)
    told: list[Event] = []

    resumed = trained(made, table, every_epoch(path, resume=True), told.append)

    assert resumed == whole
    assert (Noticed(f"goes on after epoch {epoch - 1} of {made.training.epochs}") in told) is (epoch > 1)


def test_a_training_that_ended_is_not_fitted_again(tmp_path: Path) -> None:
    made, path = recipe(epochs=200, lr=0.1, patience=3), tmp_path / "it.checkpoint"
    first = trained(made, clouds(60, apart=0.5), Checkpoint(path))
    told: list[Event] = []

    again = trained(made, clouds(60, apart=0.5), Checkpoint(path, resume=True), told.append)

    assert first[1].stopped_early
    assert again == first
    assert not [event for event in told if isinstance(event, EpochEnded)]


def test_a_checkpoint_comes_when_its_time_or_its_epoch_has_come(tmp_path: Path) -> None:
    made, path = recipe(epochs=7), tmp_path / "it.checkpoint"
    saved: list[int] = []

    def look(event: Event) -> None:
        if isinstance(event, EpochEnded) and path.exists():
            saved.append(len(read(path)["state"]["epochs"]))

    trained(made, clouds(), Checkpoint(path, 1e9, 3), look)
    by_epochs = [*saved, len(read(path)["state"]["epochs"])]
    path.unlink()
    saved.clear()
    trained(made, clouds(), Checkpoint(path, 0.0), look)

    assert by_epochs == [3, 3, 3, 6, 7]
    assert saved == [1, 2, 3, 4, 5, 6]


def test_a_training_asked_to_stop_ends_after_its_epoch_and_can_be_resumed(tmp_path: Path) -> None:
    made, path = recipe(epochs=6), tmp_path / "it.checkpoint"
    stopping = Checkpoint(path, 1e9)

    def stop(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch == 3:
            assert stopping.running
            stopping.stop()

    with pytest.raises(KeyboardInterrupt):
        trained(made, clouds(), stopping, stop)

    assert not stopping.running
    assert len(read(path)["state"]["epochs"]) == 3
    resumed = trained(made, clouds(), Checkpoint(path, resume=True))
    assert resumed == trained(made, clouds())


def test_a_checkpoint_of_another_recipe_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"
    trained(recipe(epochs=2), clouds(), Checkpoint(path))

    with pytest.raises(
        CheckpointMismatch,
        match=r"training\.lr is 0\.02 there, 0\.01 here; .*training\.clip is not set there, 1\.0 here",
    ) as caught:
        trained(recipe(epochs=2, lr=0.01, clip=1.0), clouds(), Checkpoint(path, resume=True))

    assert caught.value.details["differs"] == ["training.lr", "training.clip"]


def test_a_checkpoint_of_other_rows_says_so(tmp_path: Path) -> None:
    path, other = tmp_path / "it.checkpoint", clouds()
    trained(recipe(epochs=2), clouds(), Checkpoint(path))
    other.inputs["x"].x[:, 0] += 1e-3

    with pytest.raises(CheckpointMismatch, match=r"rows\.sha256 is "):
        trained(recipe(epochs=2), other, Checkpoint(path, resume=True))
    with pytest.raises(CheckpointMismatch, match=r"rows\.train is 120 there, 160 here; rows\.validation"):
        trained(recipe(epochs=2), clouds(160), Checkpoint(path, resume=True))


def test_lengths_and_targets_belong_to_the_rows() -> None:
    longer, turned = slopes(), slopes()
    assert longer.inputs["x"].lengths is not None
    longer.inputs["x"].lengths[0] += 1
    turned.targets[0] = 1 - turned.targets[0]

    assert len({slopes().digest(), longer.digest(), turned.digest()}) == 3
    assert slopes().digest() == slopes().digest()


def test_many_differences_are_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"
    trained(recipe(epochs=2), clouds(), Checkpoint(path))

    with pytest.raises(CheckpointMismatch, match="and 2 more; take the recipe"):
        trained(
            recipe(epochs=3, lr=0.01, clip=1.0, seed=0, ema=0.5, mixup=0.2),
            clouds(),
            Checkpoint(path, resume=True),
        )


def test_a_checkpoint_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"
    trained(recipe(epochs=2), clouds(), Checkpoint(path))
    before = path.read_bytes()

    with pytest.raises(BadCheckpoint, match="holds an unfinished training; add --resume to go on with it"):
        trained(recipe(epochs=2), clouds(), Checkpoint(path))

    assert path.read_bytes() == before


@pytest.mark.parametrize("what", ["nothing", "text", "cut", "format", "other"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "it.checkpoint"
    trained(recipe(epochs=2), clouds(), Checkpoint(path))
    if what == "format":
        torch.save({"format": 2, "facts": {}, "state": {}}, path)
    elif what == "other":
        torch.save([1, 2], path)
    else:
        path.write_bytes({"nothing": b"", "text": b"hello there", "cut": path.read_bytes()[:-200]}[what])

    with pytest.raises(BadCheckpoint, match=r"cannot be read as a checkpoint .*; delete it and begin anew"):
        trained(recipe(epochs=2), clouds(), Checkpoint(path, resume=True))


def test_a_checkpoint_runs_no_code_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"
    torch.save({"format": 1, "facts": Path("x"), "state": {}}, path)

    with pytest.raises(BadCheckpoint, match="cannot be read"):
        trained(recipe(epochs=2), clouds(), Checkpoint(path, resume=True))


def test_a_place_that_cannot_be_written_to_is_told_before_any_epoch(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    told: list[Event] = []

    with pytest.raises(BadCheckpoint, match=r"cannot be written: .*; name another directory"):
        trained(recipe(), clouds(), Checkpoint(tmp_path / "taken" / "it.checkpoint"), told.append)

    assert told == []


def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"
    checkpoint = Checkpoint(path)
    checkpoint.write({"number": 1})
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        (tmp_path / "probe").touch()
    except OSError:
        with pytest.raises(BadCheckpoint, match="cannot be written"):
            checkpoint.write({"number": 2})
    finally:
        tmp_path.chmod(0o700)

    assert path.read_bytes() == before
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.glob("*.checkpoint*")) == []
