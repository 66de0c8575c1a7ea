"""Files: a row's key, label, number, version and time as columns, in parts that become one file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import orjson

from models.manifest import Manifest
from server.batch.scored import Ranking, Scored
from server.batch.targets.parts_folder import PartsFolder
from server.batch.targets.target import JobRun, PartName, Refused


class FileForm(Protocol):
    """How rows lie in a file of one kind."""

    def write(self, path: Path, scored: Sequence[Scored]) -> None:
        """Write a part."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write all parts into one file, with little of it in memory at a time."""


class InFile:
    """A file of one kind."""

    def __init__(self, path: str, form: FileForm, manifest: Manifest, ranking: Ranking, job: JobRun) -> None:
        """Take the file to be; a job that is done may have completed it.

        Raises: BadRequest, it cannot be written there.
        """
        said = {"job": str(job), "model": manifest.name, "version": manifest.version}
        asked = {"label": ranking.label, "outputs": ranking.outputs}
        self._folder = PartsFolder(Path(path).absolute(), orjson.dumps({**said, **asked}), job.done)
        self._form = form

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Write a part; a row without the number that belongs in a column is refused."""
        numbered = [one.numbered() if one.ranking.name else (one, {}) for one in scored]
        good = [one for one, _ in numbered]
        await asyncio.to_thread(self._folder.write, name, lambda path: self._form.write(path, good))
        return {key: error for _, bad in numbered for key, error in bad.items()}

    async def present(self, keys: Sequence[str]) -> None:
        """Nobody can tell before the file is whole."""

    async def finish(self) -> None:
        """Join the parts."""
        await asyncio.to_thread(self._folder.finish, self._form.join)


def names_of(ranking: Ranking) -> list[str]:
    """Return the columns; the whole answer as JSON where it is asked for, or where nothing else is said."""
    label, number = ["label"] * ranking.labelled, [ranking.name] if ranking.name else []
    return ["key", *label, *number, "version", "time", *["answer"] * (not label and not number)]
