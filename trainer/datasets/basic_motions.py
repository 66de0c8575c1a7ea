"""Basic motions: a smartwatch on somebody who stands, walks, runs or plays badminton; a list of 100 steps each.

The archive names no licence, so the data are not shipped here: they are read from the package aeon
where somebody installed it.
"""

from collections.abc import Iterator

import numpy as np

from trainer.datasets.dataset import Dataset, Row, Stored
from trainer.datasets.packages import data_file

PARTS = (("train", "BasicMotions_TRAIN.ts"), ("test", "BasicMotions_TEST.ts"))


def rows() -> Iterator[Row]:
    """Give the recordings in the order of the archive, its training part first.

    Raises: DatasetNotInstalled.
    """
    number = 0
    for part, name in PARTS:
        path = data_file("basic_motions", "aeon", "datasets", "data", "BasicMotions", name)
        _, _, body = path.read_text(encoding="utf-8").partition("@data\n")
        for line in body.splitlines():
            *channels, motion = line.strip().split(":")
            steps = np.array([channel.split(",") for channel in channels], "<f4").T
            yield (
                Stored(f"motion:{number}", tuple(np.ascontiguousarray(step).tobytes() for step in steps)),
                Stored(f"motion:{number}:meta", {"motion": motion.lower(), "part": part}),
            )
            number += 1


BASIC_MOTIONS = Dataset(
    name="basic_motions",
    description="80 recordings of a smartwatch, 100 steps of acceleration and rotation, four motions",
    attribution=(
        "J. Clements (2018), BasicMotions, in A. Bagnall and others, The UEA multivariate time series "
        "classification archive, https://arxiv.org/abs/1811.00075; read from the Python package aeon"
    ),
    layout=(
        "motion:{id}       list: 100 steps of 6 float32 (little-endian, 24 bytes)",
        "motion:{id}:meta  hash: motion (standing, walking, running, badminton) and part (train, test)",
    ),
    count=80,
    rows=rows,
    package="aeon",
)
