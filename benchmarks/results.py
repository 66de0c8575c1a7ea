"""Results as a file: the machine, the versions, the command, every single measurement and every claim."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.claims import Judged
from benchmarks.measurements import Measurement, Measurements, Series
from benchmarks.options import Options

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a run was: when, where, with what, how it was asked for, and what it left out."""

    date: datetime
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line for people."""
        cores = f"{self.machine['cores']} cores ({self.machine['processor']})"
        return f"{self.date:%Y-%m-%d}, {cores}, {self.machine['system']}, Python {self.versions['python']}"


def stem(header: Header, options: Options) -> str:
    """Return the name of a run's files; a partial run says so, and is not kept by git."""
    return f"{header.date:%Y-%m-%d-%H%M}{'-part' if options.partial else ''}"


def write(
    folder: Path, name: str, header: Header, measurements: Measurements, judged: Sequence[Judged]
) -> Path:
    """Write a run and return the file."""
    data = {
        "format": FORMAT,
        "date": header.date.isoformat(timespec="seconds"),
        "command": header.command,
        "machine": header.machine,
        "versions": header.versions,
        "notes": header.notes,
        "targets": [claim_data(one) for one in judged],
        "measurements": [one.as_data() for one in measurements.made],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return path


def claim_data(judged: Judged) -> dict[str, Any]:
    """Return a claim with what was reached."""
    return {
        "what": judged.claim.text,
        "target": judged.claim.target,
        "reached": judged.value,
        "verdict": judged.verdict,
    }


def read(path: Path) -> tuple[Header, Measurements]:
    """Read a run back, to draw it again."""
    data = json.loads(path.read_text())
    header = Header(
        datetime.fromisoformat(data["date"]),
        data["command"],
        data["machine"],
        data["versions"],
        tuple(data["notes"]),
    )
    return header, Measurements([measurement(item) for item in data["measurements"]])


def measurement(item: dict[str, Any]) -> Measurement:
    """Read one measurement back."""
    samples = tuple((second, value) for second, value in item.get("samples", ()))
    series = Series(item["case"], item["who"], item["setting"])
    return Measurement(series, item["round"], item["figures"], samples)
