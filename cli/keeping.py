"""A trained model that is not stored at the end of its training: it is kept in files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.made import is_whole, spare_folder, write
from models.errors import InsituError

if TYPE_CHECKING:
    from cli.training_view import TrainingView
    from trainer.outcome import TrainResult


@contextmanager
def kept_whatever_comes(
    result: "TrainResult", out: Path | None, alias: str, view: "TrainingView"
) -> Iterator[None]:
    """Keep a trained model in files where storing it fails, and tell how to store it later, with its alias.

    They lie in the folder `out` that was asked for, or in another one where that does not take them.
    """
    try:
        yield
    except BaseException:
        keep(result, out, alias, view)
        raise


def keep(result: "TrainResult", out: Path | None, alias: str, view: "TrainingView") -> None:
    """Write a model that was not stored, unless it is written already, and tell where, or that it is lost."""
    try:
        if out is None or not is_whole(result, out):
            out = spare_folder(result.bundle.manifest.name)
            write(result, out)
    except (InsituError, OSError) as error:
        if out is None or not is_whole(result, out):  # the picture alone may lack
            view.lost(str(error))
            return
    view.kept(out, alias)
