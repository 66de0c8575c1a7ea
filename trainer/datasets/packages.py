"""Data files of Python packages that are installed, without running any of their code."""

from importlib.util import find_spec
from pathlib import Path

from trainer.errors import DatasetNotInstalled


def there(package: str) -> bool:
    """Whether a package is installed."""
    return find_spec(package) is not None


def data_file(dataset: str, package: str, *parts: str) -> Path:
    """Return the path of a data file that a package brings.

    Raises: DatasetNotInstalled.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise DatasetNotInstalled(dataset, package)
