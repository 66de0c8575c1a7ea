"""Make japanese_vowels.csv.gz from the two .ts files of the UCI archive's data set.

    python make_japanese_vowels.py JapaneseVowels_TRAIN.ts JapaneseVowels_TEST.ts

The .ts files come with the Python package aeon (1.6.0, aeon/datasets/data/JapaneseVowels). The
numbers are kept digit for digit; one line is one step: utterance, speaker, 12 coefficients. The
utterances are numbered in the order of the files, from 0.
"""

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parent / "japanese_vowels.csv.gz"


def utterances(path: Path) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Give speaker and steps of each utterance of one .ts file."""
    _, _, body = path.read_text(encoding="utf-8").partition("@data\n")
    for line in body.splitlines():
        *channels, speaker = line.strip().split(":")
        yield speaker, list(zip(*(channel.split(",") for channel in channels), strict=True))


def main(paths: list[str]) -> None:
    """Write the file; the same input gives the same bytes."""
    every = (one for path in paths for one in utterances(Path(path)))
    lines = [
        ",".join((str(number), speaker, *step))
        for number, (speaker, steps) in enumerate(every)
        for step in steps
    ]
    data = ("\n".join(lines) + "\n").encode()
    TARGET.write_bytes(gzip.compress(data, compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1:])
