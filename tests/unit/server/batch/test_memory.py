"""What a process has freed is taken again without a page fault, once it keeps its memory."""

import json
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource
from server.batch.memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [bytearray(2 << 20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
given_back = faults()
keep_memory()
faults()
print(json.dumps([given_back, faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_what_is_freed_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    given_back, kept = json.loads(done.stdout)
    assert given_back > 1000
    assert kept < 100
