"""Batches: every row once, none alone, no padding that a batch does not need, no second table."""

import numpy as np
import pytest
import torch

from tests.unit.trainer.tables import clouds, slopes
from trainer.fitting import rows as rows_module
from trainer.fitting.rows import Rows, batch_bounds, shuffled

CPU = torch.device("cpu")


def numbered(count: int) -> Rows:
    return Rows({"x": (torch.arange(float(count))[:, None], None)}, torch.arange(count))


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (9, 4), (5, 4), (4, 4), (1, 4), (3, 1)])
def test_every_row_comes_once_an_epoch_and_none_alone_if_it_can_be_helped(count: int, batch: int) -> None:
    batches = list(shuffled(numbered(count), batch))

    assert sorted(int(row) for part in batches for row in part.targets) == list(range(count))
    assert all(len(part) > 1 for part in batches) or min(count, batch) == 1


@pytest.mark.parametrize("block_bytes", [1, 200, 1 << 20])
def test_blocks_of_any_size_give_the_same_batches(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    torch.manual_seed(3)
    wanted = [part.targets.tolist() for part in shuffled(numbered(41), 8)]
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", block_bytes)

    torch.manual_seed(3)
    given = list(shuffled(numbered(41), 8))

    assert [part.targets.tolist() for part in given] == wanted
    assert all(torch.equal(part.inputs["x"][0][:, 0].long(), part.targets) for part in given)


def test_a_batch_has_no_padding_that_none_of_its_rows_needs() -> None:
    for part in shuffled(Rows.of(slopes(), CPU), 8):
        x, lengths = part.inputs["x"]
        assert lengths is not None
        assert x.shape[1] == int(lengths.max())


def test_a_table_of_float32_is_not_copied() -> None:
    table = clouds()

    rows = Rows.of(table, CPU)

    assert np.shares_memory(rows.inputs["x"][0].numpy(), table.inputs["x"].x)


def test_the_last_row_alone_joins_the_batch_before() -> None:
    assert batch_bounds(9, 4) == [0, 4, 9]
    assert batch_bounds(10, 4) == [0, 4, 8, 10]
    assert batch_bounds(3, 1) == [0, 1, 2, 3]
