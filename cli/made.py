"""A model as files in a folder: written by `train`, read by `publish`."""

import errno
import json
import os
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from cli.endless import TooLong, whole
from cli.errors import WrongUsage
from models.errors import BadModelFile, ManifestUnreadable, shown

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.manifest import Manifest
    from trainer.outcome import TrainResult

ONNX, MANIFEST, PAGE, PICTURE = "model.onnx", "manifest.json", "card.html", "report.svg"
SPARE_MOST = 100  # folders of one name beside one another
PATH_CHARACTERS = 240
FILE_MOST = (2 << 30) - 1  # bytes; protobuf, and so an ONNX file, has no more


def make_folder(out: Path) -> None:
    """Make the folder that the files of a model go to.

    Raises: WrongUsage, it cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error.strerror) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise unwritable(out, os.strerror(errno.EACCES))


def unwritable(out: Path, reason: str | None) -> WrongUsage:
    """Return the error of a folder that no files of a model can go to."""
    return WrongUsage(f"--out {shown(str(out), PATH_CHARACTERS)} cannot be written: {reason}")


def spare_folder(name: str) -> Path:
    """Make a new folder for a model that nobody named one for: here, or where temporary files go."""
    for number in range(1, SPARE_MOST):
        folder = Path(f"{name}.kept" if number == 1 else f"{name}.kept{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError:
            break
        return folder
    return Path(mkdtemp(prefix=f"{name}."))


def write(result: "TrainResult", out: Path) -> None:
    """Write the model as files.

    Raises: WrongUsage, BadReportPath, the directory cannot be written to.
    """
    from trainer.report import write_report

    try:
        (out / ONNX).write_bytes(result.bundle.onnx)
        (out / MANIFEST).write_bytes(manifest_of(result.bundle).to_json())
        (out / PAGE).write_bytes(result.bundle.page)
    except OSError as error:
        raise unwritable(out, error.strerror) from error
    write_report(result.bundle.manifest, out / PICTURE)


def manifest_of(bundle: "Bundle") -> "Manifest":
    """Return the manifest as it lies beside its ONNX file, which it tells from any other."""
    return bundle.manifest.model_copy(update={"digest": sha256(bundle.onnx).hexdigest()})


def is_whole(result: "TrainResult", out: Path) -> bool:
    """Whether a folder has all that `publish` needs of a model: a disk may be full, a folder be gone."""
    bundle = result.bundle
    wanted = {ONNX: bundle.onnx, MANIFEST: manifest_of(bundle).to_json(), PAGE: bundle.page}
    try:
        return all((out / name).read_bytes() == data for name, data in wanted.items())
    except OSError:
        return False


def read(folder: Path) -> "Bundle":
    """Return the model whose files lie in a folder, as it was trained.

    Raises: WrongUsage, a file is not there; BadModelFile, they are not those of one model.
    """
    from models.bundle import Bundle
    from models.graph import inspect_graph

    manifest = read_manifest(folder / MANIFEST)
    onnx = read_file(folder / ONNX)
    graph = inspect_graph(onnx)
    if (graph.inputs, graph.outputs) != (manifest.inputs, manifest.outputs):
        raise strangers(folder, f"{ONNX} has other inputs or outputs than {MANIFEST} says")
    if manifest.digest not in ("", sha256(onnx).hexdigest()):
        raise strangers(folder, f"{ONNX} is not the file that {MANIFEST} was written for")
    page = folder / PAGE
    return Bundle(manifest, onnx, read_file(page) if page.exists() else b"")


def strangers(folder: Path, what: str) -> BadModelFile:
    """Return the error of files that are not of one model."""
    return BadModelFile(f"{shown(str(folder), PATH_CHARACTERS)}: {what}; take both from the same training")


def read_manifest(path: Path) -> "Manifest":
    """Return the manifest of a model that was not published yet.

    Raises: WrongUsage, it is not there; BadModelFile, it is none.
    """
    from models.manifest import Manifest

    data = read_file(path)
    try:
        said = json.loads(data)
        return Manifest.from_json(data, str(said["name"]), said["version"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadModelFile(
            f"{shown(str(path), PATH_CHARACTERS)} is no manifest; `insitu train --out DIR` writes one"
        ) from error
    except ManifestUnreadable as error:
        raise BadModelFile(
            f"{shown(str(path), PATH_CHARACTERS)} cannot be read: {error.details['reason']}"
        ) from error


def read_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises: WrongUsage, it cannot be read, or is larger than any of a model.
    """
    try:
        with path.open("rb") as file:
            return whole(file, FILE_MOST)
    except TooLong as error:
        raise WrongUsage(
            f"{shown(str(path), PATH_CHARACTERS)} cannot be read: {error}, and no file of a model has"
        ) from error
    except OSError as error:
        raise WrongUsage(f"{shown(str(path), PATH_CHARACTERS)} cannot be read: {error.strerror}") from error
