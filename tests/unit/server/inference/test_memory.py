"""Memory is counted, kept and given back where the C library can, and nothing breaks where it cannot."""

import json
import platform
import subprocess
import sys

import pytest

from server.inference import memory
from server.inference.memory import give_back, heap_bytes, keep_memory

SCRIPT = """
import json, resource
from server.inference.memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [bytearray(2 << 20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
given_back = faults()
keep_memory(64 << 20)
faults()
print(json.dumps([given_back, faults()]))
"""


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


def test_another_c_library_counts_nothing_keeps_nothing_and_gives_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "library", object)

    give_back()
    keep_memory(1 << 20)

    assert heap_bytes() is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_what_is_freed_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    given_back, kept = json.loads(done.stdout)
    assert given_back > 1000
    assert kept < 100
