"""Commands for many keys are those that one would write key by key, whatever the keys are."""

from hypothesis import given
from hypothesis import strategies as st

from models.asking import mgets
from models.encoding import encoded

keys = st.text(min_size=1, max_size=3) | st.sampled_from(["item:1", "item:2", "item:33", "x" * 300])
alike = st.tuples(keys, st.integers(1, 50)).map(lambda one: [one[0]] * one[1])


@given(st.lists(keys, min_size=1, max_size=50) | alike, st.integers(1, 20))
def test_mgets_of_many_keys(named: list[str], size: int) -> None:
    groups = [named[at : at + size] for at in range(0, len(named), size)]

    assert mgets(named, size) == b"".join(encoded(("MGET", *group)) for group in groups)
