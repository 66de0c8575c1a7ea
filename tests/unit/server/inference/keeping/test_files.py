"""Kept files: whole or not taken, of one Redis, within the bound, and gone when Redis says so."""

import os
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.manifest import Manifest
from models.signatures import StoredVersion
from server.inference.keeping import room
from server.inference.keeping.files import KeptFiles, Known, NotOurs
from server.inference.keeping.identity import Identity
from server.inference.keeping.small_files import removed, start_of, written
from tests.graphs import bundle, constant

PRODUCTION = Identity("redis://production:6379/0", "insitu")
STAGING = Identity("redis://staging:6379/0", "insitu")
MOST = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> KeptFiles:
    return KeptFiles(tmp_path / "cache", MOST, PRODUCTION)


@pytest.fixture
def home(files: KeptFiles) -> Path:
    return files.directory / PRODUCTION.folder


def sealed(number: float, name: str = "m", version: int = 1) -> Bundle:
    return bundle(constant(number), name).sealed(version)


def keep(files: KeptFiles, one: Bundle) -> Manifest:
    """Keep a bundle as the store does."""
    claim = files.claim(one.manifest.digest)
    if claim is not None:
        files.keep_onnx(claim, one.onnx)
        claim.release()
    files.keep_stored(
        one.manifest, StoredVersion(one.manifest.name, one.manifest.version, one.manifest.to_json(), None)
    )
    return one.manifest


def manifest_in(files: KeptFiles, name: str, version: int) -> Manifest | None:
    stored = files.stored(name, version)
    return None if stored is None else Manifest.from_json(stored.manifest, name, version)


def test_a_manifest_is_kept_to_the_byte_with_its_signature(files: KeptFiles) -> None:
    one = sealed(1)
    keep(files, one)
    stored = StoredVersion("m", 1, b" " + one.manifest.to_json() + b"\n", b"signed\n\xff")

    files.keep_stored(one.manifest, stored)

    assert files.stored("m", 1) == stored


def test_what_is_kept_comes_back_as_it_was(files: KeptFiles) -> None:
    one = sealed(1)
    manifest = keep(files, one)
    files.note("m", {"production": 1}, '{"1": 1}')

    assert files.onnx(manifest) == one.onnx
    assert manifest_in(files, "m", 1) == manifest
    assert manifest_in(files, "m", 2) is None
    (known,) = files.known()
    assert known == Known("m", {"production": 1}, '{"1": 1}', (1,), known.used)


def test_everything_is_for_the_user_of_the_server_alone(files: KeptFiles, home: Path) -> None:
    keep(files, sealed(1))
    files.note("m", {}, None)
    files.looked([])

    modes = {path.stat().st_mode & 0o777 for path in (files.directory, *files.directory.rglob("*"))}
    assert modes == {0o600, 0o700}


def test_another_redis_finds_nothing_of_it(files: KeptFiles) -> None:
    manifest = keep(files, sealed(1))
    files.note("m", {"production": 1}, None)
    other = KeptFiles(files.directory, MOST, STAGING)

    assert other.known() == []
    assert manifest_in(other, "m", 1) is None
    assert other.onnx(manifest) is None


def test_damaged_bytes_are_thrown_away_and_good_ones_stay(files: KeptFiles, home: Path) -> None:
    manifest = keep(files, sealed(1))
    assert files.doubted(manifest) is False

    (home / "onnx" / manifest.digest).write_bytes(b"damaged")
    assert files.doubted(manifest) is True
    assert files.doubted(manifest) is None
    assert files.discarded == 1


@pytest.mark.parametrize("said", [b"", b"nothing of the kind", b"\n"])
def test_a_damaged_small_file_is_thrown_away(files: KeptFiles, home: Path, said: bytes) -> None:
    manifest = keep(files, sealed(1))
    files.note("m", {"production": 1}, None)
    paths = [home / "models" / "m" / name for name in ("pointers", f"v1-{manifest.digest}")]
    for path in paths:
        path.write_bytes(said)

    assert files.known() == []
    assert manifest_in(files, "m", 1) is None
    assert files.discarded == 2
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b"no JSON",
        b'{"format":2,"name":"m","aliases":{},"traffic":null}',
        b'{"format":1,"name":"other","aliases":{},"traffic":null}',
        b'{"format":1,"name":"m","aliases":[],"traffic":null}',
        b'{"format":1,"name":"m","aliases":{"1":1},"traffic":null}',
        b'{"format":1,"name":"m","aliases":{"production":true},"traffic":null}',
        b'{"format":1,"name":"m","aliases":{},"traffic":7}',
        b'{"format":1,"name":"m"}',
    ],
)
def test_a_meaning_that_is_none_is_thrown_away(files: KeptFiles, home: Path, said: bytes) -> None:
    keep(files, sealed(1))
    written(home / "models" / "m" / "pointers", said)

    assert files.known() == []
    assert files.discarded == 1


def test_a_manifest_of_another_version_or_digest_is_thrown_away(files: KeptFiles, home: Path) -> None:
    manifest = keep(files, sealed(1))
    folder = home / "models" / "m"
    written(folder / f"v2-{manifest.digest}", manifest.to_json())
    written(folder / f"v3-{'0' * 64}", sealed(3, version=3).manifest.to_json())

    assert manifest_in(files, "m", 2) is None
    assert manifest_in(files, "m", 3) is None
    assert files.discarded == 2


def test_a_link_in_the_place_of_a_file_is_not_followed(files: KeptFiles, home: Path, tmp_path: Path) -> None:
    one = sealed(1)
    manifest = keep(files, one)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(one.onnx)
    path = home / "onnx" / manifest.digest
    path.unlink()
    path.symlink_to(elsewhere)

    assert files.onnx(manifest) == b""
    assert files.doubted(manifest) is True
    assert elsewhere.exists()


def test_no_more_is_read_than_the_manifest_says(files: KeptFiles, home: Path) -> None:
    manifest = keep(files, sealed(1))
    with (home / "onnx" / manifest.digest).open("ab") as file:
        file.write(b"more" * 1000)

    assert len(files.onnx(manifest) or b"") == manifest.size_bytes + 1


def test_a_folder_that_others_may_write_to_is_not_used(files: KeptFiles, home: Path) -> None:
    keep(files, sealed(1))
    home.chmod(0o777)

    with pytest.raises(NotOurs, match="others may write there"):
        files.known()


def test_the_least_recently_used_leaves_with_its_manifest(files: KeptFiles, home: Path) -> None:
    old, new = keep(files, sealed(1)), keep(files, sealed(2, "n"))
    files.note("m", {"production": 1}, None)
    os.utime(home / "onnx" / old.digest, (1, 1))
    size = room.taken_bytes(files.directory)

    smaller = KeptFiles(files.directory, size - 1, PRODUCTION)
    smaller.looked([new.digest])

    assert (manifest_in(smaller, "m", 1), manifest_in(smaller, "n", 1)) == (None, new)
    assert sorted(path.name for path in (home / "models" / "m").iterdir()) == ["pointers"]
    smaller.looked([])
    assert smaller.names() == ["m", "n"]
    os.utime(home / "models" / "m", (1, 1))
    smaller.looked([])
    assert smaller.names() == ["n"]


def test_what_is_in_use_counts_as_used(files: KeptFiles, home: Path) -> None:
    first, second = keep(files, sealed(1)), keep(files, sealed(2, "n"))
    for one in (first, second):
        os.utime(home / "onnx" / one.digest, (1, 1))

    files.looked([first.digest, "no digest", "0" * 64])
    KeptFiles(files.directory, room.taken_bytes(files.directory) - 1, PRODUCTION).looked([])

    assert (manifest_in(files, "m", 1), manifest_in(files, "n", 1)) == (first, None)


def test_the_bound_is_held_over_all_that_share_the_directory(files: KeptFiles) -> None:
    most = 2000
    for number in range(20):
        one = KeptFiles(files.directory, most, (PRODUCTION, STAGING)[number % 2])
        keep(one, sealed(number, f"m{number}"))
        one.looked([])

        assert 0 < room.taken_bytes(files.directory) <= most


def test_a_bound_that_holds_nothing_empties_the_directory(files: KeptFiles) -> None:
    manifest = keep(files, sealed(1))
    keep(files, sealed(2, "n"))

    KeptFiles(files.directory, 1, PRODUCTION).looked([])

    assert files.onnx(manifest) is None
    assert files.known() == []


def test_a_model_whose_meaning_was_not_noted_yet_is_not_known(files: KeptFiles) -> None:
    keep(files, sealed(1))

    assert files.known() == []
    assert files.discarded == 0


def test_what_is_larger_than_the_bound_is_not_kept(files: KeptFiles) -> None:
    keep(KeptFiles(files.directory, 10, PRODUCTION), sealed(1))

    assert manifest_in(files, "m", 1) is None
    assert room.taken_bytes(files.directory) == 0


def test_versions_that_are_no_longer_stored_go_with_their_bytes(files: KeptFiles) -> None:
    first, second = keep(files, sealed(1)), keep(files, sealed(2, version=2))
    keep(files, sealed(1, version=3))  # the bytes of the first, which stay for it

    files.compare("m", {2, 3})
    assert (manifest_in(files, "m", 1), files.onnx(first) is None) == (None, False)

    files.compare("m", {2})
    assert files.onnx(first) is None
    assert files.onnx(second) is not None

    files.compare("m", ())
    assert files.known() == []
    files.compare("m", ())


def test_a_number_that_stands_for_another_version_by_now_leaves_the_one_before(files: KeptFiles) -> None:
    keep(files, sealed(1))
    now = keep(files, sealed(2))

    assert manifest_in(files, "m", 1) == now


def test_what_killed_processes_left_goes_once_it_is_old(files: KeptFiles, home: Path) -> None:
    manifest = keep(files, sealed(1))
    lone, draft = home / "onnx" / ("0" * 64), home / "models" / "m" / "pointers.0.new"
    part = home / "onnx" / ("1" * 64 + ".part")
    foreign = home / "onnx" / "of somebody else"
    for path in (lone, draft, part, foreign):
        path.write_bytes(b"left")

    files.looked([])
    assert (lone.exists(), draft.exists(), part.exists()) == (True, True, False)

    for path in (lone, draft):
        os.utime(path, (1, 1))
    files.looked([])
    assert (lone.exists(), draft.exists()) == (False, False)
    assert foreign.exists()
    assert files.onnx(manifest) is not None


def test_nothing_is_noted_of_a_model_of_which_nothing_is_kept(files: KeptFiles) -> None:
    files.opened()
    files.note("m", {"production": 1}, None)

    assert files.names() == []


def test_bytes_without_which_a_version_cannot_be_served_make_it_unknown(files: KeptFiles, home: Path) -> None:
    manifest = keep(files, sealed(1))
    files.note("m", {"production": 1}, None)
    (home / "onnx" / manifest.digest).unlink()

    assert files.known() == []


def test_what_is_only_to_be_read_is_taken_all_the_same(
    files: KeptFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sealed(1)
    manifest = keep(files, one)

    def refused(*_: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    assert files.onnx(manifest) == one.onnx


def test_the_time_of_the_last_look_is_kept(files: KeptFiles, home: Path) -> None:
    assert files.looked_at() is None

    files.looked([])
    os.utime(home / "redis", (1000, 1000))
    assert files.looked_at() == 1000

    files.looked([])
    assert (files.looked_at() or 0) > 1000


def test_a_small_file_that_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        written(tmp_path / "taken", b"something")
    removed(tmp_path / "taken")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_files_that_are_gone_meanwhile_count_as_nothing(tmp_path: Path) -> None:
    assert room.size_of(tmp_path / "gone") == 0
    assert not room.is_old(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        start_of(tmp_path / "gone", 1)
