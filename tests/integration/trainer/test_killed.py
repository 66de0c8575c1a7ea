"""Training processes killed at moments drawn by chance: gone on with, the model is the same to the byte."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from models.recipe import Recipe, ready_recipe
from trainer.events import Journal
from trainer.fitting.beginning import Beginning
from trainer.fitting.checkpoints import Checkpoint
from trainer.run import train_on
from trainer.table import Table, Values

KILLS = 8
ROWS = 600
EPOCHS = 16


def digits() -> tuple[Recipe, Table]:
    """The CNN of the ready recipe, short, with everything that draws numbers; real images."""
    recipe = ready_recipe("digits")
    changed = {"epochs": EPOCHS, "mixup": 0.2, "ema": 0.9, "patience": 12}
    data = load_digits()
    keys = tuple(f"digit:{number}" for number in range(ROWS))
    table = Table(
        keys, {"image": Values(data.images[:ROWS].astype(np.uint8))}, data.target[:ROWS].astype(np.int64)
    )
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changed)}), table


def work(directory: Path, began: Path) -> None:
    """What the process does that is killed."""
    torch.set_num_threads(1)
    recipe, table = digits()
    checkpoint = Checkpoint(directory / "digits.checkpoint", every_seconds=0, resume=True)
    began.touch()
    result = train_on(recipe, table, Journal(), Beginning(checkpoint))
    (directory / "model.onnx").write_bytes(result.bundle.onnx)


@pytest.mark.timeout(300)
def test_a_training_killed_again_and_again_gives_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")  # imports PyTorch once, not in every process
    processes.set_forkserver_preload(["trainer.run", "sklearn.datasets", "torch.onnx"])
    seed = time.time_ns()
    moments = random.Random(seed)
    kills = 0
    began = time.monotonic()
    whole = train_on(*digits()).bundle.onnx
    usual = time.monotonic() - began

    while not (tmp_path / "model.onnx").exists():
        mark = tmp_path / f"began.{kills}"
        process = processes.Process(target=work, args=(tmp_path, mark))
        process.start()
        while not mark.exists() and process.is_alive():
            time.sleep(0.005)
        if kills < KILLS:
            process.join(moments.uniform(0, usual / 2))
        else:
            process.join()
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        else:
            assert process.exitcode == 0, seed

    assert kills >= 2, (seed, usual)
    assert (tmp_path / "model.onnx").read_bytes() == whole, seed
