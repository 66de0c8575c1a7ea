"""A bundle is sealed with the facts of its bytes and cut into chunks that give them back."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import CHUNK_BYTES, PAGE_LIMIT_BYTES, Bundle, PageTooLarge
from models.manifest import Manifest
from models.tensors import TensorSpec

SPEC = TensorSpec(name="x", dtype="float32", shape=("batch", 3))
MANIFEST = Manifest(name="churn", inputs=(SPEC,), outputs=(SPEC,))


@given(onnx=st.binary(max_size=300), chunk_bytes=st.integers(1, 100))
def test_pieces_joined_are_the_bytes_and_as_many_as_the_manifest_says(onnx: bytes, chunk_bytes: int) -> None:
    sealed = Bundle(MANIFEST, onnx).sealed(3, chunk_bytes)

    pieces = sealed.pieces(chunk_bytes)

    assert b"".join(pieces) == onnx
    assert len(pieces) == sealed.manifest.chunks
    assert all(len(piece) <= chunk_bytes for piece in pieces)


def test_a_sealed_bundle_says_its_number_size_and_digest() -> None:
    sealed = Bundle(MANIFEST, b"graph").sealed(3)

    found = sealed.manifest
    assert (found.version, found.size_bytes, found.chunks) == (3, 5, 1)
    assert found.digest == sha256(b"graph").hexdigest()
    assert sealed.onnx == b"graph"


def test_sealing_leaves_the_bundle_itself_alone() -> None:
    bundle = Bundle(MANIFEST, b"graph")

    bundle.sealed(3)

    assert bundle.manifest == MANIFEST


def test_pieces_are_views_not_copies() -> None:
    onnx = bytes(1000)

    assert all(piece.obj is onnx for piece in Bundle(MANIFEST, onnx).pieces(100))


@pytest.mark.parametrize(("size", "chunks"), [(CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2)])
def test_a_chunk_holds_64_mebibytes(size: int, chunks: int) -> None:
    assert Bundle(MANIFEST, bytes(size)).sealed(1).manifest.chunks == chunks


def test_a_page_stays_with_the_bundle_and_is_bounded() -> None:
    most = bytes(PAGE_LIMIT_BYTES)

    assert Bundle(MANIFEST, b"graph", most).sealed(1).page == most
    with pytest.raises(
        PageTooLarge, match="has 4194305 bytes, the limit is 4194304; make its pictures smaller"
    ):
        Bundle(MANIFEST, b"graph", most + b"x").sealed(1)
