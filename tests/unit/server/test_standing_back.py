"""A process that stands back: of the lowest priority, and with slices longer than anybody's, its later threads too."""

import json
import os
import platform
import subprocess
import sys

import pytest

from server.standing_back import SLICE_NANOSECONDS

SCRIPT = """
import ctypes, json, os, struct, threading
from server.standing_back import stand_back

def told():
    attributes = ctypes.create_string_buffer(48)
    ctypes.CDLL(None).syscall({"x86_64": 315, "aarch64": 275}[os.uname().machine], 0, attributes, 48, 0)
    _, policy, _, nice, _, runtime, _, _ = struct.unpack("=IIQiIQQQ", attributes)
    every.append((policy, nice, runtime))

every = []
stand_back()
told()
thread = threading.Thread(target=told)
thread.start()
thread.join()
print(json.dumps(every))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}, reason="system calls of Linux"
)
def test_it_is_idle_and_its_slices_are_long() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    first, later = json.loads(done.stdout)
    assert first == later
    policy, nice, runtime = first
    assert (policy, nice) == (os.SCHED_IDLE, 15)
    newest = tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2])
    assert newest < (6, 12) or runtime == SLICE_NANOSECONDS
