"""key, sign, --sign-with and what models and check say of signatures, as a new user would go about it."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from models.public_keys import PublicKey, read_public
from tests.integration.cli.conftest import Result

Insitu = Callable[..., Result]
Pair = tuple[str, str]


@pytest.fixture
def pair(insitu: Insitu, tmp_path: Path) -> Pair:
    """A private key's file, and the fingerprint of the key."""
    path = str(tmp_path / "release.key")
    made = insitu("key", path, "--json")
    assert made.code == 0, made.err
    return path, made.json["fingerprint"]


def publish(insitu: Insitu, churn: tuple[str, str], *words: str, **extra: str) -> Result:
    said = ("--features", churn[1], "--labels", "stays,leaves")
    return insitu("publish", churn[0], "--name", "churn", *(words or said), **extra)


def test_a_pair_is_made_once_its_private_part_for_its_owner_alone(insitu: Insitu, tmp_path: Path) -> None:
    path = tmp_path / "release.key"

    made = insitu("key", str(path))
    again = insitu("key", str(path))

    (public,) = read_public(f"{path}.pub")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.out.splitlines()[0].split() == ["fingerprint", public.fingerprint]
    assert f"entry        {public}" in made.out
    assert "INSITU_TRUSTED_KEYS=ENTRY" in made.err
    assert (again.code, "is there already" in again.error) == (2, True)
    assert read_public(f"{path}.pub") == (public,)


def test_no_private_key_is_left_where_the_public_one_cannot_be_written(
    insitu: Insitu, tmp_path: Path
) -> None:
    (tmp_path / "k.pub").write_text("mine")

    made = insitu("key", str(tmp_path / "k"))

    assert (made.code, (tmp_path / "k").exists()) == (2, False)
    assert (tmp_path / "k.pub").read_text() == "mine"
    assert insitu("key", str(tmp_path / "absent" / "k")).error.count("No such file or directory") == 1


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_directory_is_no_file_for_a_key(insitu: Insitu, folder: str) -> None:
    refused = insitu("key", folder)

    assert (refused.code, f"{folder} is a directory; name a file in it" in refused.error) == (2, True)


def test_an_encrypted_key_wants_its_passphrase(
    insitu: Insitu, churn: tuple[str, str], tmp_path: Path
) -> None:
    path = str(tmp_path / "k")
    made = insitu("key", path, "--json", INSITU_KEY_PASSPHRASE="correct horse")
    assert made.json["encrypted"]
    assert "ENCRYPTED" in Path(path).read_text()

    asked = publish(insitu, churn, INSITU_SIGN_WITH=path)
    wrong = publish(insitu, churn, INSITU_SIGN_WITH=path, INSITU_KEY_PASSPHRASE="battery")
    right = publish(insitu, churn, INSITU_SIGN_WITH=path, INSITU_KEY_PASSPHRASE="correct horse")

    assert (asked.code, "give it in INSITU_KEY_PASSPHRASE" in asked.error) == (2, True)
    assert (wrong.code, "another passphrase" in wrong.error) == (2, True)
    assert "battery" not in wrong.err
    assert (right.code, made.json["fingerprint"] in right.out) == (0, True)
    assert insitu("key", f"{path}2", "--passphrase").code == 2


@pytest.mark.parametrize(
    ("passphrase", "told"), [("ä" * 512, "has 1024 bytes, the limit is 1023"), ("\udcff", "is no UTF-8")]
)
def test_a_passphrase_that_encrypts_no_key_is_refused_unshown(
    insitu: Insitu, tmp_path: Path, passphrase: str, told: str
) -> None:
    refused = insitu("key", str(tmp_path / "k"), INSITU_KEY_PASSPHRASE=passphrase)

    assert (refused.code, told in refused.error, passphrase in refused.err) == (2, True, False)
    assert not any(tmp_path.glob("k*"))


def test_what_is_published_with_a_key_is_signed_and_said_to_be(
    insitu: Insitu, churn: tuple[str, str], pair: Pair
) -> None:
    path, fingerprint = pair

    published = publish(insitu, churn, INSITU_SIGN_WITH=path)

    assert f"signed by  {fingerprint}" in published.out
    trusted = {"INSITU_TRUSTED_KEYS": f"{path}.pub"}
    assert insitu("models", "churn", "--json").json["manifests"][0]["signed_by"] == fingerprint
    assert f"{fingerprint} (trusted)" in insitu("models", "churn:1", **trusted).out
    assert f"signed by {fingerprint} (trusted), and runs" in insitu("check", **trusted).out
    other = {"INSITU_TRUSTED_KEYS": str(PublicKey(bytes(32)))}
    assert f"{fingerprint} (not trusted)" in insitu("models", "churn", **other).out
    assert "is not trusted: it is signed by the key" in insitu("check", **other).out


def test_a_signature_that_does_not_fit_is_said_to_be_of_something_altered(
    insitu: Insitu, churn: tuple[str, str], pair: Pair, redis_url: str
) -> None:
    publish(insitu, churn, INSITU_SIGN_WITH=pair[0])
    with Redis.from_url(redis_url) as redis:
        redis.append("insitu:{churn}:v1:manifest", " ")

    assert f"{pair[1]} (does not fit: altered)" in insitu("models", "churn").out
    with Redis.from_url(redis_url) as redis:
        redis.set("insitu:{churn}:v1:signature", "?")
    assert "unreadable" in insitu("models", "churn").out


def test_what_is_stored_already_is_signed_and_what_was_signed_is_shown(
    insitu: Insitu, churn: tuple[str, str], pair: Pair, tmp_path: Path
) -> None:
    publish(insitu, churn)
    second = str(tmp_path / "second.key")
    newer = insitu("key", second, "--json").json["fingerprint"]

    signed = insitu("sign", "churn", "--key", pair[0])
    again = insitu("sign", "churn:1", "--json", INSITU_SIGN_WITH=second)

    assert signed.out.splitlines()[0] == f"churn version 1 is signed by {pair[1]}"
    assert "customer:{id} (hash)" in signed.out
    assert (again.json["key"], again.json["before"]) == (newer, pair[1])
    assert f"the signature of {newer}" in insitu("sign", "churn:production", "--key", pair[0]).out


def test_what_cannot_be_signed_is_refused_with_the_cure(
    insitu: Insitu, churn: tuple[str, str], pair: Pair, redis_url: str, tmp_path: Path
) -> None:
    publish(insitu, churn)
    loose = tmp_path / "loose.key"
    loose.write_bytes(Path(pair[0]).read_bytes())
    loose.chmod(0o644)

    assert "name the private key: --key FILE" in insitu("sign", "churn").error
    assert "names no model" in insitu("sign", ":1", "--key", pair[0]).error
    assert "stored versions: 1" in insitu("sign", "churn:7", "--key", pair[0]).error
    assert "chmod 600" in insitu("sign", "churn", "--key", str(loose)).error
    assert "holds no private key" in insitu("sign", "churn", "--key", f"{pair[0]}.pub").error
    with Redis.from_url(redis_url) as redis:
        redis.set("insitu:{churn}:v1:onnx:0", "mine")
    assert "is damaged in Redis" in insitu("sign", "churn", "--key", pair[0]).error


def test_a_signature_does_not_vouch_for_what_nobody_has_signed(
    insitu: Insitu, churn: tuple[str, str], pair: Pair
) -> None:
    publish(insitu, churn)

    refused = publish(insitu, churn, "--sign-with", pair[0])
    said = publish(insitu, churn, "--sign-with", pair[0], "--features", churn[1], "--labels", "stays,leaves")
    after = publish(insitu, churn, "--sign-with", pair[0])

    assert refused.code == 1
    assert (
        "nothing is signed: unless it is said, the new version reads features and words its answers as"
        in (refused.error)
    )
    assert (said.code, after.code) == (0, 0)


def test_what_others_have_signed_since_is_not_vouched_for(
    insitu: Insitu, churn: tuple[str, str], pair: Pair, tmp_path: Path
) -> None:
    other = str(tmp_path / "other.key")
    insitu("key", other)
    publish(insitu, churn, INSITU_SIGN_WITH=other)

    alone = publish(insitu, churn, "--sign-with", pair[0])
    trusting = publish(insitu, churn, "--sign-with", pair[0], INSITU_TRUSTED_KEYS=f"{other}.pub")

    assert (alone.code, trusting.code) == (1, 0)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (",", "it names no key"),
        ("ed25519:abc", "is no public key"),
        ("absent.pub", "No such file or directory"),
    ],
)
def test_a_server_does_not_start_with_keys_that_are_none(insitu: Insitu, entries: str, told: str) -> None:
    refused = insitu("serve", "--port", "0", "--trusted-keys", entries)

    assert refused.code == 2
    assert refused.error.startswith("error: --trusted-keys is ")
    assert told in refused.error


def test_commands_refuse_a_setting_of_trust_that_names_no_key(
    insitu: Insitu, churn: tuple[str, str], pair: Pair
) -> None:
    publish(insitu, churn)

    for words in (("models", "churn"), ("sign", "churn", "--key", pair[0])):
        refused = insitu(*words, INSITU_TRUSTED_KEYS=" , ")

        assert (refused.code, "INSITU_TRUSTED_KEYS is ' , ': it names no key" in refused.error) == (2, True)
    assert "it names no key" in insitu("check", INSITU_TRUSTED_KEYS=",").out
