"""The data sets that come with the product, by name."""

from trainer.datasets.breast_cancer import BREAST_CANCER
from trainer.datasets.dataset import Dataset
from trainer.datasets.digits import DIGITS
from trainer.datasets.japanese_vowels import JAPANESE_VOWELS
from trainer.errors import UnknownDataset

DATASETS = {dataset.name: dataset for dataset in (BREAST_CANCER, DIGITS, JAPANESE_VOWELS)}


def dataset(name: str) -> Dataset:
    """Return a data set.

    Raises: UnknownDataset, naming those there are.
    """
    if name not in DATASETS:
        raise UnknownDataset(name, sorted(DATASETS))
    return DATASETS[name]
