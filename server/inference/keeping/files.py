"""KeptFiles: the files of one Redis and prefix in a directory, as the threads of a server read and write them.

Nothing here is trusted: bytes count when their SHA-256 is that of the manifest, a small file when it has its own.
Any number of processes may share a directory.
"""

import binascii
import logging
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from models.errors import ManifestUnreadable
from models.manifest import Manifest
from models.names import ALIAS
from models.signatures import StoredVersion
from server.inference.keeping import small_files
from server.inference.keeping.claims import Claim
from server.inference.keeping.identity import Identity
from server.inference.keeping.room import (
    DIGEST,
    MODELS,
    ONNX,
    POINTERS,
    REDIS,
    made,
    manifests,
    models_in,
)
from server.inference.keeping.small_files import PRIVATE_FOLDER, removed, start_of

log = logging.getLogger(__name__)

FORMAT = 1
FOREIGN_BITS = stat.S_IWGRP | stat.S_IWOTH


class NotOurs(OSError):
    """A folder that others may write to: what lies there may be of anybody's making."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a model meant when it was served last, and which of its versions are whole here, newest first.

    Units: used, Unix seconds of the last use of one of them.
    """

    name: str
    aliases: Mapping[str, int]
    traffic: str | None
    versions: tuple[int, ...]
    used: float


class KeptFiles:
    """The kept files of one identity."""

    def __init__(self, directory: Path, most_bytes: int, identity: Identity) -> None:
        self.directory = directory
        self.most_bytes = most_bytes
        self._identity = identity
        self._home = directory / identity.folder
        self.discarded = 0  # files that were damaged, or of another's making

    def opened(self) -> None:
        """Make the folders where they are not there, and see that they are this user's alone.

        Raises: NotOurs; OSError.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.directory, self._home, self._home / ONNX, self._home / MODELS):
            folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
        facts = self._home.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & FOREIGN_BITS:
            raise NotOurs(f"{self._home} is another user's, or others may write there; remove it")

    def onnx(self, manifest: Manifest) -> bytes | None:
        """Return the bytes of a version as they lie here, which nobody has compared yet; None where there are none.

        Raises: OSError.
        """
        path = self._home / ONNX / manifest.digest
        try:
            found = start_of(path, manifest.size_bytes)
        except FileNotFoundError:
            return None
        with suppress(OSError):  # what may only be read is taken all the same
            os.utime(path)
        return found

    def claim(self, digest: str) -> Claim | None:
        """Return the right to fetch bytes; see `Claim.taken`.

        Raises: NotOurs; OSError.
        """
        self.opened()
        return Claim.taken(self._home / ONNX / digest)

    def keep_onnx(self, claim: Claim, onnx: bytes) -> bool:
        """Keep bytes that were fetched; whether they are within the bound, and those that the digest is of.

        Raises: OSError.
        """
        if len(onnx) > self.most_bytes:
            log.info(
                "a model of %d bytes is not kept in %s: model_cache_bytes is %d",
                *(len(onnx), self.directory, self.most_bytes),
            )
            return False
        made(self.directory, self.most_bytes - len(onnx))
        good = claim.write(onnx)
        made(self.directory, self.most_bytes)  # others may have written beside
        return good

    def doubted(self, manifest: Manifest) -> bool | None:
        """Throw the bytes of a version away where they are damaged; None where there are none, False for good ones.

        Raises: OSError.
        """
        found = self.onnx(manifest)
        if found is None or sha256(found).hexdigest() == manifest.digest:
            return None if found is None else False
        self._discard(self._home / ONNX / manifest.digest)
        return True

    def keep_stored(self, manifest: Manifest, stored: StoredVersion) -> None:
        """Keep what is stored of a version whose bytes are here; of one that had its number before nothing stays.

        Raises: OSError.
        """
        folder = self._home / MODELS / manifest.name
        path = folder / f"v{manifest.version}-{manifest.digest}"
        if not (self._home / ONNX / manifest.digest).exists():
            return
        payload = b64encode(stored.signature or b"") + b"\n" + stored.manifest
        if not same_payload(path, payload):
            small_files.written(path, payload)
        for other, version, _ in manifests(folder):
            if version == manifest.version and other != path:
                removed(other)

    def stored(self, name: str, version: int) -> StoredVersion | None:
        """Return what was stored of a version, None where it is not here.

        Raises: NotOurs; OSError.
        """
        self.opened()
        for path, number, digest in manifests(self._home / MODELS / name):
            if number == version:
                return self._stored(path, name, version, digest)
        return None

    def _stored(self, path: Path, name: str, version: int, digest: str) -> StoredVersion | None:
        payload = self._read(path)
        if payload is None:
            return None
        signature, _, manifest = payload.partition(b"\n")
        with suppress(ManifestUnreadable, binascii.Error):
            if Manifest.from_json(manifest, name, version).digest == digest:
                return StoredVersion(name, version, manifest, b64decode(signature) or None)
        self._discard(path)
        return None

    def note(self, name: str, aliases: Mapping[str, int], traffic: str | None) -> None:
        """Keep what a model means, where a version of it is kept.

        Raises: OSError.
        """
        folder = self._home / MODELS / name
        if not any(manifests(folder)):
            return
        said = {"format": FORMAT, "name": name, "aliases": aliases, "traffic": traffic}
        payload = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        if not same_payload(folder / POINTERS, payload):
            small_files.written(folder / POINTERS, payload)

    def names(self) -> list[str]:
        """Return the models of which something is kept."""
        return [folder.name for folder in models_in(self._home)]

    def known(self) -> list[Known]:
        """Return the models that can be served from here, the last used first.

        Raises: NotOurs; OSError.
        """
        self.opened()
        every = (self._known(folder) for folder in models_in(self._home))
        return sorted((one for one in every if one is not None), key=lambda one: -one.used)

    def _known(self, folder: Path) -> Known | None:
        used: dict[int, float] = {}
        for _, version, digest in manifests(folder):
            with suppress(FileNotFoundError):
                used[version] = (self._home / ONNX / digest).stat().st_mtime
        said = self._pointers(folder / POINTERS, folder.name) if used else None
        if said is None:
            return None
        versions = tuple(sorted(used, reverse=True))
        return Known(folder.name, said["aliases"], said["traffic"], versions, max(used.values()))

    def _pointers(self, path: Path, name: str) -> Mapping[str, Any] | None:
        payload = self._read(path)
        said = None if payload is None else pointers_in(payload, name)
        if payload is not None and said is None:
            self._discard(path)
        return said

    def _read(self, path: Path) -> bytes | None:
        """Return what a small file says; None where it is not there, or damaged: it is thrown away then."""
        try:
            payload = small_files.read(path)
        except FileNotFoundError:
            return None
        if payload is None:
            self._discard(path)
        return payload

    def _discard(self, path: Path) -> None:
        """Throw a file away that is not what it should be."""
        log.warning("%s is damaged, or not of our making: it is thrown away, and fetched again", path)
        self.discarded += 1
        removed(path)

    def compare(self, name: str, versions: Collection[int]) -> None:
        """Let go what is kept of versions of a model that are no longer stored.

        Raises: OSError.
        """
        folder = self._home / MODELS / name
        gone = [(path, digest) for path, version, digest in manifests(folder) if version not in versions]
        for path, _ in gone:
            removed(path)
        kept = {digest for digest in self._digests() if gone}
        for _, digest in gone:
            if digest not in kept:
                removed(self._home / ONNX / digest)
        if gone:
            log.info("what is no longer stored of %s was taken out of %s", name, self.directory)

    def _digests(self) -> Iterator[str]:
        """Yield what the manifests that are here have."""
        for folder in models_in(self._home):
            yield from (digest for _, _, digest in manifests(folder))

    def looked(self, digests: Collection[str]) -> int:
        """Note that Redis was looked at, and that bytes are in use; return how many bytes all files take.

        Raises: NotOurs; OSError.
        """
        self.opened()
        path = self._home / REDIS
        payload = orjson.dumps(
            {"format": FORMAT, "redis": self._identity.redis, "prefix": self._identity.prefix}
        )
        if not same_payload(path, payload):
            small_files.written(path, payload)
        os.utime(path)
        for digest in digests:
            with suppress(FileNotFoundError):
                if DIGEST.fullmatch(digest):
                    os.utime(self._home / ONNX / digest)
        return made(self.directory, self.most_bytes)

    def looked_at(self) -> float | None:
        """Return when Redis was looked at last, Unix seconds; None where that is not known."""
        with suppress(OSError):
            return (self._home / REDIS).stat().st_mtime
        return None


def same_payload(path: Path, payload: bytes) -> bool:
    """Whether a small file says something already.

    Raises: OSError.
    """
    try:
        return small_files.read(path) == payload
    except FileNotFoundError:
        return False


def pointers_in(payload: bytes, name: str) -> Mapping[str, Any] | None:
    """Return what is kept of the meaning of a model, None where it is none of that model."""
    try:
        said = orjson.loads(payload)
        fit = said["format"] == FORMAT and said["name"] == name
        aliases, traffic = said["aliases"].items(), said["traffic"]
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return None
    fit = fit and all(ALIAS.fullmatch(alias) and type(version) is int for alias, version in aliases)
    return said if fit and isinstance(traffic, str | None) else None
