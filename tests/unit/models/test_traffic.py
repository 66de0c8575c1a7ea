"""A rule is read strictly, shared out evenly, and moves keys one way only."""

import json
import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadTraffic
from models.traffic import POSITIONS, Traffic, position, salt

KEYS = [f"customer:{number}" for number in range(10_000)]
FEW_KEYS = KEYS[:500]
WEIGHTS = st.integers(1, 1000)


def rule(weights: dict[int, float], model: str = "churn") -> Traffic:
    return Traffic.read(model, weights)


def answered(traffic: Traffic, keys: Sequence[str] = KEYS) -> list[int]:
    return [traffic.version_for(key) for key in keys]


@pytest.mark.parametrize(
    ("weights", "percent"),
    [
        ({3: 95, 4: 5}, {3: 95.0, 4: 5.0}),
        ({3: 1, 4: 2}, {3: 33.3333, 4: 66.6667}),
        ({4: 0.5, 3: 99.5}, {3: 99.5, 4: 0.5}),
        ({7: 12}, {7: 100.0}),
    ],
)
def test_weights_need_no_sum_of_100_and_are_shown_as_percent(
    weights: dict[int, float], percent: dict[int, float]
) -> None:
    assert rule(weights).percent == percent
    assert list(rule(weights).weights) == sorted(weights)


def test_a_rule_is_stored_as_json_and_read_again() -> None:
    stored = rule({4: 5.0, 3: 94.5}).to_json()

    assert stored == '{"3": 94.5, "4": 5}'
    assert Traffic.from_json("churn", stored.encode()) == rule({3: 94.5, 4: 5})


@pytest.mark.parametrize(
    ("weights", "greatest"), [({3: 95, 4: 5}, 3), ({3: 5, 4: 95}, 4), ({3: 50, 4: 50}, 3)]
)
def test_the_greatest_share_is_of_the_older_among_equals(weights: dict[int, float], greatest: int) -> None:
    assert rule(weights).greatest == greatest


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([3, 4], r"is \[3, 4\]; give versions and their weights such as"),
        ("3=95", "is 3=95; give versions"),
        (None, "is None; give versions"),
        ({}, "names 0 versions; give 1 to 8"),
        (dict.fromkeys(range(1, 10), 1), "names 9 versions; give 1 to 8"),
        ({"canary": 5}, "names 'canary', which is no version number"),
        ({"0": 5}, "names '0', which is no version number"),
        ({"03": 5}, "names '03', which is no version number"),
        ({"-1": 5}, "names '-1', which is no version number"),
        ({"٣": 5}, "which is no version number"),
        ({"": 5}, "names '', which is no version number"),
        ({"1" * 10: 5}, "which is no version number"),
        ({True: 5}, "names 'True', which is no version number"),
        ({3: 1, "3": 1}, "names a version twice"),
        ({3: "95"}, "gives version 3 the weight 95, which is no number"),
        ({3: None}, "gives version 3 the weight None, which is no number"),
        ({3: True}, "gives version 3 the weight True, which is no number"),
        ({3: math.nan}, "gives version 3 the weight nan, which is no number"),
        ({3: math.inf}, "gives version 3 the weight inf, which is no number"),
        ({3: 95, 4: 0}, "gives version 4 the weight 0; a weight is over 0"),
        ({3: -5}, "gives version 3 the weight -5; a weight is over 0"),
        ({3: 0.0001}, "gives version 3 the weight 0.0001; a weight is 0.001 to 1,000,000"),
        ({3: 10**400}, "a weight is 0.001 to 1,000,000"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_value_and_the_cure(value: object, told: str) -> None:
    with pytest.raises(BadTraffic, match=told) as caught:
        Traffic.read("churn", value)

    assert str(caught.value).startswith("the traffic rule of model 'churn' ")
    json.dumps(caught.value.details, allow_nan=False)


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000, b"3", b'{"3": 0}'])
def test_stored_bytes_that_are_no_rule_are_refused(data: bytes) -> None:
    with pytest.raises(BadTraffic):
        Traffic.from_json("churn", data)


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_has_a_place_and_always_the_same(key: str) -> None:
    first = position(salt("churn"), key)

    assert 0 <= first < POSITIONS
    assert position(salt("churn"), key) == first


@pytest.mark.parametrize("share", [1, 5, 10, 25, 50, 90])
@pytest.mark.parametrize("pattern", ["customer:{}", "{}", "user:{:08d}:profile", "a:b:{:x}"])
def test_shares_are_kept_within_three_deviations_over_10000_keys(pattern: str, share: int) -> None:
    traffic = rule({3: 100 - share, 4: share})

    met = sum(traffic.version_for(pattern.format(number)) == 4 for number in range(10_000))

    deviation = math.sqrt(10_000 * share * (100 - share)) / 100
    assert abs(met - 100 * share) <= 3 * deviation


def test_the_keys_of_one_models_canary_are_not_those_of_anothers() -> None:
    first = rule({3: 95, 4: 5}, "churn")
    second = rule({3: 95, 4: 5}, "fraud")

    both = sum(first.version_for(key) == second.version_for(key) == 4 for key in KEYS)

    assert 10 <= both <= 40  # 25 by chance


@given(WEIGHTS, WEIGHTS, WEIGHTS)
def test_raising_a_canary_moves_keys_to_it_and_none_away(stable: int, canary: int, more: int) -> None:
    for versions in ((3, 4), (4, 3)):
        before = answered(rule({versions[0]: stable, versions[1]: canary}), FEW_KEYS)
        after = answered(rule({versions[0]: stable, versions[1]: canary + more}), FEW_KEYS)

        moved = {(one, other) for one, other in zip(before, after, strict=True) if one != other}
        assert moved <= {versions}


@given(st.dictionaries(st.integers(1, 50), WEIGHTS, min_size=2, max_size=8), WEIGHTS)
def test_raising_the_newest_version_moves_keys_to_newer_versions_only(
    weights: dict[int, float], more: int
) -> None:
    newest = max(weights)
    before = rule(weights)
    after = rule({**weights, newest: weights[newest] + more})

    kept = [(before.version_for(key), after.version_for(key)) for key in FEW_KEYS]

    assert all(new >= old for old, new in kept)


@given(st.dictionaries(st.integers(1, 50), WEIGHTS, min_size=1, max_size=8))
def test_the_ranges_are_as_wide_as_the_shares(weights: dict[int, float]) -> None:
    traffic = rule(weights)
    ends = [*traffic.bounds, POSITIONS]
    widths = [end - start for start, end in zip([0, *ends], ends, strict=False)]

    total = sum(weights.values())
    for version, width in zip(traffic.order, widths, strict=True):
        assert math.isclose(width, POSITIONS * weights[version] / total, abs_tol=2)


def test_eight_versions_share_as_they_are_told() -> None:
    weights: dict[int, float] = {version: version for version in range(1, 9)}

    met = Counter(answered(rule(weights)))

    for version, weight in weights.items():
        expected = 10_000 * weight / 36
        assert abs(met[version] - expected) <= 3.5 * math.sqrt(expected)
