"""Tallies of several processes add up to that of one that did it all."""

from collections import Counter

import numpy as np

from models.errors import FieldMissing, KeyMissing, NotANumber
from models.privacy import Privacy
from models.tallies import LABELS_KEPT, OTHER_LABELS, Tally


def tally(numbers: list[float], labels: dict[str, int], passed: int = 0) -> Tally:
    made = Tally(scored=len(numbers), passed=passed)
    made.add_numbers(np.array(numbers, np.float32))
    made.add_labels(Counter(labels))
    return made


def test_what_is_added_is_what_one_process_would_have_counted() -> None:
    first, second = tally([0.5, -2.0], {"yes": 2}, 3), tally([8.0], {"yes": 1, "no": 4})
    first.skip(KeyMissing("k:1"))
    second.skip(KeyMissing("k:2"), 2)
    second.skip(NotANumber("field 'a'", "x", "float32"))

    first.merge(second)

    assert (first.scored, first.passed, first.rows) == (3, 3, 10)
    assert first.skipped == {"key_missing": 3, "not_a_number": 1}
    assert "k:1" in first.examples["key_missing"]
    assert first.labels == {"yes": 3, "no": 4}
    assert (first.numbers, first.total, first.lowest, first.highest) == (3, 6.5, -2.0, 8.0)
    assert first.histogram.bins == tally([0.5, -2.0, 8.0], {}).histogram.bins


def test_it_is_read_as_it_was_written() -> None:
    made = tally([0.25, 3.0], {"a": 1})
    made.skip(KeyMissing("k"))

    assert Tally.from_json(made.to_json()).to_data() == made.to_data()
    assert Tally.from_json(Tally().to_json()).to_data() == Tally().to_data()


def test_labels_without_end_are_counted_together() -> None:
    made = tally([], {str(number): 1 for number in range(LABELS_KEPT + 5)})
    made.merge(tally([], {"0": 1, "another": 2}))

    assert len(made.labels) == LABELS_KEPT + 1
    assert made.labels["0"] == 2
    assert made.labels[OTHER_LABELS] == 7


def test_an_example_is_bounded() -> None:
    made = Tally()
    made.skip(KeyMissing("k" * 100_000))

    assert len(made.to_json()) < 2000


def test_what_is_kept_of_an_error_names_no_private_feature() -> None:
    tally = Tally()

    tally.skip(FieldMissing("user:1", "income"), privacy=Privacy(["income"]))

    assert "income" not in tally.examples["field_missing"]
    assert "private 1" in tally.examples["field_missing"]
