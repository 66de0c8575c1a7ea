"""Replies of ours leave in the order of what they answer."""

from hypothesis import given
from hypothesis import strategies as st

from server.resp.slots import Slot, Slots


@given(order=st.permutations(range(6)), silent=st.sets(st.integers(0, 5)))
def test_replies_leave_in_the_order_of_their_slots(order: list[int], silent: set[int]) -> None:
    written: list[bytes] = []
    freed: list[int] = []
    slots = Slots(written.append, lambda: freed.append(len(written)))
    taken = [Slot(None, number in silent) for number in range(6)]
    slots.queue.extend(taken)

    for number in order:
        slots.fill(taken[number], b"%d" % number)

    assert b"".join(written) == b"".join(b"%d" % number for number in range(6) if number not in silent)
    assert not slots
    assert len(freed) == 1


def test_what_waits_leaves_in_one_write() -> None:
    written: list[bytes] = []
    slots = Slots(written.append, lambda: None)
    first, second, third = [Slot(None, silent=False) for _ in range(3)]
    slots.queue.extend((first, second, third))

    slots.fill(second, b"2")
    slots.fill(third, b"3")
    assert written == []
    slots.fill(first, b"1")

    assert written == [b"123"]
