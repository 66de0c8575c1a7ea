"""The data sets that come with the product, by name."""

from trainer.datasets.basic_motions import BASIC_MOTIONS
from trainer.datasets.breast_cancer import BREAST_CANCER
from trainer.datasets.caravan import CARAVAN
from trainer.datasets.dataset import Dataset
from trainer.datasets.diabetes import DIABETES
from trainer.datasets.digits import DIGITS
from trainer.datasets.japanese_vowels import JAPANESE_VOWELS
from trainer.datasets.wine import WINE
from trainer.errors import UnknownDataset

EVERY = (BASIC_MOTIONS, BREAST_CANCER, CARAVAN, DIABETES, DIGITS, JAPANESE_VOWELS, WINE)
DATASETS = {dataset.name: dataset for dataset in EVERY}


def dataset(name: str) -> Dataset:
    """Return a data set.

    Raises: UnknownDataset, naming those there are.
    """
    if name not in DATASETS:
        raise UnknownDataset(name, sorted(DATASETS))
    return DATASETS[name]
