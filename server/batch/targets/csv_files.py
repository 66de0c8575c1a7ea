"""CSV files: RFC 4180 in UTF-8, with a header, CRLF, and quotes where they are needed.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

import csv
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any

from server.batch.scored import Ranking, Scored
from server.batch.targets.in_files import names_of


class CsvFile:
    """Numbers are in as few digits as give them back, times in ISO 8601, UTC."""

    def __init__(self, ranking: Ranking) -> None:
        self._names = names_of(ranking)

    def write(self, path: Path, scored: Sequence[Scored]) -> None:
        """Write the rows of a part, without the header."""
        with path.open("w", encoding="utf-8", newline="") as file:
            for one in scored:
                csv.writer(file).writerows(zip(*[texts(name, one) for name in self._names], strict=True))

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write the header and all rows, a block at a time."""
        with path.open("wb") as file:
            file.write(",".join(self._names).encode() + b"\r\n")
            for part in parts:
                with part.open("rb") as rows:
                    shutil.copyfileobj(rows, file)


def texts(name: str, scored: Scored) -> Sequence[Any]:
    """Return one column."""
    if name == "key":
        return scored.keys
    if name == "label":
        return scored.labels or ()
    if name in ("version", "time"):
        time = datetime.fromtimestamp(scored.at, UTC).isoformat(timespec="milliseconds")
        same = scored.manifest.version if name == "version" else time.replace("+00:00", "Z")
        return [*repeat(same, len(scored))]
    return [*map(bytes.decode, scored.answers if name == "answer" else scored.shortest)]
