"""What is signed, word for word, how keys and signatures are written, and what is refused of either."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.ed25519 import FILE_MOST_BYTES, SigningKey, fits, read_private
from models.public_keys import KEYS_MOST, PublicKey, read_every_public, read_public
from models.signature import Signature, Subject, digest_of
from models.signing_errors import BadKey, NotTrusted, SigningNotInstalled
from models.trust import Trust

SUBJECT = Subject("churn", 3, b'{"format":1}', "ab" * 32, digest_of(b"<!doctype html>"))
PAIR = SigningKey.new()
KNOWN_KEY = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8032, 7.1, test 1
KNOWN_SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
SIGNED = (
    "b1ec5acdf542d9919b6eccd672f8c1f3c22ee85f58ca0fbcb8e6055d6766a367"
    "ec6314b8180ecefdf71020e57ed732bebd0ff605bde9ac9a5bcd2e4c8a6fb20f"
)
FINGERPRINT = "21fe31dfa154a261"
PRIVATE = "PRIVATE " + "KEY"


def test_the_statement_is_six_lines_and_never_changes() -> None:
    assert SUBJECT.statement().decode() == (
        "insitu model signature 1\n"
        "model churn\n"
        "version 3\n"
        "manifest 3f0a99256beeb89a6b9f2793885291a6454928fd74903159ab2e51452b13df6f\n"
        f"onnx {'ab' * 32}\n"
        "card fe26c59e91ac8de694b2531dc3bdc1b7faf471d3d7e4e00870af60f5f22897cb\n"
    )
    assert replace(SUBJECT, page=digest_of(b"")).statement().endswith(b"card none\n")


def test_a_known_signature_verifies_as_it_always_has() -> None:
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(KNOWN_SECRET))

    assert str(key.public) == KNOWN_KEY
    assert key.sign(SUBJECT).signed.hex() == SIGNED


@pytest.mark.parametrize(
    "altered",
    [
        {"name": "other"},
        {"version": 4},
        {"manifest": b'{"format":1} '},
        {"digest": "cd" * 32},
        {"page": ""},
    ],
)
def test_a_signature_fits_nothing_but_what_was_signed(altered: dict[str, object]) -> None:
    signature = PAIR.sign(SUBJECT)

    assert fits(signature, SUBJECT)
    assert not fits(signature, replace(SUBJECT, **altered))  # type: ignore[arg-type]  # of its field each
    assert not fits(replace(signature, key=SigningKey.new().public), SUBJECT)
    assert not fits(replace(signature, signed=bytes(64)), SUBJECT)


def test_a_signature_is_read_as_it_was_written() -> None:
    signature = PAIR.sign(SUBJECT)

    assert Signature.from_json(signature.to_json()) == signature
    assert list(json.loads(signature.to_json())) == ["format", "key", "card", "signature"]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"key": "rsa:" + "A" * 44},
        {"key": None},
        {"signature": "no Base64"},
        {"signature": "AAAA"},
        {"signature": None},
    ],
)
def test_what_is_no_signature_is_refused(change: dict[str, object]) -> None:
    stored = json.loads(PAIR.sign(SUBJECT).to_json()) | change
    stored = {name: value for name, value in stored.items() if value is not None}

    with pytest.raises(ValueError, match=r"malformed|format"):
        Signature.from_json(json.dumps(stored).encode())


@pytest.mark.parametrize("data", [b"", b"no JSON", b"[1]", b"\xff", b"[" * 4096])
def test_other_bytes_are_no_signature(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json words most of them
        Signature.from_json(data)


def test_a_public_key_is_read_as_it_is_pasted() -> None:
    assert str(PublicKey.parse(KNOWN_KEY)) == KNOWN_KEY
    assert PublicKey.parse(KNOWN_KEY).fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    "text", ["ed25519:", "ed25519:abc", KNOWN_KEY + "A", KNOWN_KEY.removeprefix("ed25519:")]
)
def test_what_is_no_public_key_is_refused_with_where_one_comes_from(text: str) -> None:
    with pytest.raises(BadKey, match=r"`insitu key FILE`"):
        PublicKey.parse(text)


def test_keys_come_pasted_and_from_files_each_once(tmp_path: Path) -> None:
    file = tmp_path / "trusted.pub"
    file.write_text(
        f"# of the release pipeline\n\n{PAIR.public}  ci@example.com\n{KNOWN_KEY} # the old one\n"
    )

    assert read_every_public((KNOWN_KEY, str(file))) == (PublicKey.parse(KNOWN_KEY), PAIR.public)


def test_files_that_hold_no_public_keys_are_named(tmp_path: Path) -> None:
    contents = {
        "empty.pub": ("# none\n", "holds no public key"),
        "private": (f"-----BEGIN {PRIVATE}-----\n", "holds a PEM, maybe the private key"),
        "large": ("#" * (FILE_MOST_BYTES + 1), "has more than 65536 bytes"),
        "text": ("hello", "'hello' is no public key"),
    }
    for name, (text, reason) in contents.items():
        (tmp_path / name).write_text(text)

        with pytest.raises(BadKey, match=reason):
            read_public(str(tmp_path / name))
    with pytest.raises(BadKey, match="No such file or directory"):
        read_public(str(tmp_path / "absent"))


def test_nobody_trusts_more_keys_than_can_be_kept_an_eye_on() -> None:
    many = tuple(str(PublicKey(bytes([number] * 32))) for number in range(KEYS_MOST + 1))

    with pytest.raises(BadKey, match="65 keys are trusted, the limit is 64"):
        read_every_public(many)


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_private_key_is_read_as_it_was_written(passphrase: str | None) -> None:
    pem = PAIR.to_pem(passphrase)

    assert (b"ENCRYPTED" in pem) == bool(passphrase)
    assert SigningKey.from_pem(pem, "k", passphrase).public == PAIR.public
    assert repr(SigningKey.from_pem(pem, "k", passphrase)) == f"SigningKey({PAIR.public.fingerprint})"


def test_a_passphrase_that_a_key_does_not_want_is_passed_over() -> None:
    assert SigningKey.from_pem(PAIR.to_pem(), "k", "of another key").public == PAIR.public


def test_what_is_no_private_key_is_refused_with_the_cure() -> None:
    other = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    cases = [
        (PAIR.to_pem("a"), None, "k is encrypted; give its passphrase in INSITU_KEY_PASSPHRASE"),
        (PAIR.to_pem("a"), "b", "k is encrypted with another passphrase"),
        (b"hello", None, "k holds no private key in PEM"),
        (other, None, "k holds a key of another kind than Ed25519"),
    ]
    for data, passphrase, reason in cases:
        with pytest.raises(BadKey, match=reason):
            SigningKey.from_pem(data, "k", passphrase)


def test_a_private_key_that_others_can_read_is_not_used_unless_it_is_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(PAIR.to_pem())
    path.chmod(0o640)

    with pytest.raises(BadKey, match="chmod 600"):
        read_private(path)
    path.chmod(0o600)
    assert read_private(path) == PAIR.to_pem()
    path.write_bytes(sealed := PAIR.to_pem("a"))
    path.chmod(0o644)
    assert read_private(path) == sealed


def test_private_keys_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(FILE_MOST_BYTES + 1))

    with pytest.raises(BadKey, match="more than 65536 bytes"):
        read_private(large)
    with pytest.raises(BadKey, match="cannot be read: No such file"):
        read_private(tmp_path / "absent")


def test_who_trusts_nobody_in_particular_loads_everything() -> None:
    assert Trust.of(()) is None
    assert str(Trust.of([str(PAIR.public)])) == PAIR.public.fingerprint


def test_each_reason_for_no_trust_is_told_with_its_cure() -> None:
    trust = Trust((PAIR.public,))
    stranger = SigningKey.new()
    cases = [
        (None, "it is unsigned; sign it: `insitu sign churn:3 --key FILE`"),
        (b"{}", "its signature cannot be read: it is not of format 1; sign it"),
        (
            stranger.sign(SUBJECT).to_json(),
            (
                f"it is signed by the key {stranger.public.fingerprint}, none of those that are trusted here "
                f"\\({PAIR.public.fingerprint}\\); sign it with one of these"
            ),
        ),
        (
            PAIR.sign(replace(SUBJECT, page="")).to_json(),
            "its model card is not the one that .* has signed; publish",
        ),
        (
            PAIR.sign(replace(SUBJECT, version=2)).to_json(),
            "is not of what is stored: it was altered; publish it",
        ),
    ]
    trust.check(SUBJECT, PAIR.sign(SUBJECT).to_json())
    for stored, told in cases:
        with pytest.raises(NotTrusted, match=told):
            trust.check(SUBJECT, stored)


def test_without_the_package_whoever_signs_or_trusts_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signature = PAIR.sign(SUBJECT)
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)

    for asked in (
        SigningKey.new,
        lambda: Trust.of([KNOWN_KEY]),
        lambda: fits(signature, SUBJECT),
        lambda: SigningKey.from_pem(b"", "k"),
    ):
        with pytest.raises(SigningNotInstalled, match=r"pip install 'insitu\[server\]'"):
            asked()
