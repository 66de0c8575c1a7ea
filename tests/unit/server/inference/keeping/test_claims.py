"""One process fetches the bytes of a digest; one that is killed leaves nothing that keeps others from it."""

import fcntl
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from server.inference.keeping.claims import PART, Claim, same, swept

ONNX = b"onnx" * 1000
HOLDER = """
import sys, time
from pathlib import Path
from server.inference.keeping.claims import Claim
claim = Claim.taken(Path(sys.argv[1]))
Path(sys.argv[1] + ".part").write_bytes(b"half of it")
print("taken", flush=True)
time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / sha256(ONNX).hexdigest()


def claimed(path: Path) -> Claim:
    claim = Claim.taken(path)
    assert claim is not None
    return claim


def test_what_is_claimed_and_written_is_there_for_its_user_alone(path: Path) -> None:
    claim = claimed(path)

    assert claim.write(ONNX)
    claim.release()

    assert path.read_bytes() == ONNX
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_nobody_claims_what_is_claimed_or_there(path: Path) -> None:
    claim = claimed(path)
    assert Claim.taken(path) is None

    claim.write(ONNX)
    assert Claim.taken(path) is None

    claim.release()
    assert list(path.parent.iterdir()) == [path]


def test_bytes_of_another_digest_are_not_kept(path: Path) -> None:
    claim = claimed(path)

    assert not claim.write(b"damaged on the way")
    claim.release()

    assert list(path.parent.iterdir()) == []


def test_a_claim_whose_holder_was_killed_in_the_middle_of_writing_is_taken_over(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        assert Claim.taken(path) is None
        holder.send_signal(signal.SIGKILL)

    assert path.with_name(path.name + PART).read_bytes() == b"half of it"
    claim = claimed(path)
    assert claim.write(ONNX)
    claim.release()
    assert path.read_bytes() == ONNX


def test_what_a_killed_process_left_is_swept_and_what_is_fetched_is_not(path: Path) -> None:
    part = path.with_name(path.name + PART)
    part.write_bytes(b"half of it")
    swept(part)
    assert not part.exists()

    claim = claimed(path)
    swept(part)
    assert part.exists()
    claim.release()


def test_a_file_that_was_swept_or_replaced_since_it_was_opened_is_no_claim(path: Path) -> None:
    path.touch()
    descriptor = os.open(path, os.O_RDWR)
    assert same(path, descriptor)

    path.unlink()
    assert not same(path, descriptor)
    path.touch()
    assert not same(path, descriptor)
    os.close(descriptor)


def test_a_lock_on_a_file_that_has_its_name_by_now_claims_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = path.with_name(path.name + PART)
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        part.rename(path)  # as the process does that had the claim
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert Claim.taken(path) is None


def test_a_disk_without_locks_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OSError, match="no locks"):
        Claim.taken(path)
