"""Memory is counted and given back where the C library can, and nothing breaks where it cannot."""

import sys

import pytest

from server.inference import memory
from server.inference.memory import give_back, heap_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="counted by glibc")
def test_what_is_handed_out_is_counted() -> None:
    before = heap_bytes()

    held = bytearray(64 << 20)

    after = heap_bytes()
    assert before is not None
    assert after is not None
    assert 60 << 20 < after - before < 70 << 20
    assert len(held) == 64 << 20


def test_freed_memory_is_given_back_without_a_word() -> None:
    give_back()


def test_another_c_library_counts_nothing_and_gives_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "library", object)

    give_back()

    assert heap_bytes() is None
