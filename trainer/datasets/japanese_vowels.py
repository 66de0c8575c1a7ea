"""Japanese vowels: spoken vowels as sequences of any length, one Redis list entry a step.

data/ATTRIBUTION.md tells where the numbers come from.
"""

import csv
import gzip
from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby

import numpy as np

from trainer.datasets.dataset import Dataset, Row, Stored

FILE = "japanese_vowels.csv.gz"
TRAINING_ROWS = 270


def rows() -> Iterator[Row]:
    """Give the utterances in the order of the archive, its training part first."""
    data = gzip.decompress((files("trainer") / "datasets" / "data" / FILE).read_bytes())
    lines = csv.reader(data.decode("ascii").splitlines())
    for (number, speaker), steps in groupby(lines, lambda line: (line[0], line[1])):
        entries = tuple(np.array(step[2:], dtype="<f4").tobytes() for step in steps)
        yield (
            Stored(f"utterance:{number}", entries),
            Stored(f"utterance:{number}:meta", {"speaker": speaker, "part": part_of(number)}),
        )


def part_of(number: str) -> str:
    """Return the archive's part of an utterance; the two were recorded on different occasions."""
    return "train" if int(number) < TRAINING_ROWS else "test"


JAPANESE_VOWELS = Dataset(
    name="japanese_vowels",
    description="640 utterances of the vowels /ae/ by 9 speakers, 7 to 29 steps of 12 LPC cepstrum coefficients",
    attribution=(
        "M. Kudo, J. Toyama and M. Shimbo (1999), Japanese Vowels. "
        "UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47, CC BY 4.0"
    ),
    layout=(
        "utterance:{id}       list: one entry a step, 12 float32 (little-endian, 48 bytes)",
        "utterance:{id}:meta  hash: speaker, 1 to 9, and part, train or test, as the archive has it",
    ),
    count=640,
    rows=rows,
)
