"""Every key of the product is built in one place, and only from names that are names."""

import pytest

from models.errors import BadName
from models.keys import Keys, as_job, as_name, as_version, check_alias, check_name, is_alias


def test_keys_are_what_the_documentation_says() -> None:
    keys = Keys()

    assert keys.models() == "insitu:models"
    assert keys.events() == "insitu:events"
    assert keys.model("churn") == "insitu:{churn}"
    assert keys.aliases("churn") == "insitu:{churn}:aliases"
    assert keys.versions("churn") == "insitu:{churn}:versions"
    assert keys.manifest("churn", 3) == "insitu:{churn}:v3:manifest"
    assert keys.refused("churn", 3) == "insitu:{churn}:v3:refused"
    assert keys.chunk("churn", 3, 0) == "insitu:{churn}:v3:onnx:0"


def test_a_prefix_stands_before_every_key() -> None:
    keys = Keys("team:ml")

    assert keys.models() == "team:ml:models"
    assert keys.chunk("churn", 1, 2) == "team:ml:{churn}:v1:onnx:2"


@pytest.mark.parametrize("prefix", ["insitu", "team:ml"])
def test_every_key_is_known_as_one_of_ours(prefix: str) -> None:
    keys = Keys(prefix)
    own = [keys.models(), keys.events(), keys.jobs(), keys.model("m"), keys.aliases("m"), keys.versions("m")]
    own += [keys.manifest("m", 1), keys.card("m", 1), keys.refused("m", 1), keys.chunk("m", 1, 0)]
    own += [keys.job("j"), keys.job_parts("j"), keys.job_tallies("j"), keys.job_walker("j")]
    own += [keys.job_working("j")]
    own += [keys.job_appended("j", 1.5, "s", 7), f"{prefix}:{{key}}"]

    assert [key for key in own if not keys.owns(key)] == []
    for other in (
        "models",
        f"{prefix}",
        f"{prefix}:scores:{{key}}",
        f"{prefix}:modelsx",
        f"a{prefix}:models",
        "x:{a}",
    ):
        assert not keys.owns(other)


@pytest.mark.parametrize("prefix", ["", ":", "{a}", "a b", "a\n", "-a", "ä", "a" * 65])
def test_a_prefix_that_could_break_a_key_is_refused(prefix: str) -> None:
    with pytest.raises(BadName, match="key prefix"):
        Keys(prefix)


@pytest.mark.parametrize("name", ["a", "A", "0", "churn", "a.b-c_d", "a" * 128])
def test_a_name_is_letters_digits_and_three_signs(name: str) -> None:
    assert check_name(name) == name
    assert as_name(name.encode()) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "{a}", "a:b", "a/b", ".a", "-a", "_a", "ä", "a\n", "a\x00", "a" * 129]
)
def test_anything_else_is_no_name(name: str) -> None:
    with pytest.raises(BadName, match=r"model name .* is not a valid name: 1 to 128 of"):
        check_name(name)
    assert as_name(name.encode()) is None
    for key in (Keys().model, Keys().aliases, Keys().versions):
        with pytest.raises(BadName):
            key(name)


def test_stored_bytes_that_are_no_text_are_no_name() -> None:
    assert as_name(b"\xff") is None
    assert as_job(b"\xff") is as_job(b"customer:1") is None
    assert not is_alias(b"\xff")


@pytest.mark.parametrize("alias", ["production", "a", "canary-2", "a_b", "a" * 64])
def test_an_alias_begins_with_a_letter(alias: str) -> None:
    assert check_alias(alias) == alias
    assert is_alias(alias.encode())
    assert as_version(alias) is None


@pytest.mark.parametrize("alias", ["", "1", "v 1", "Prod", "-a", "_a", "a.b", "a:b", "a\n", "a" * 65])
def test_anything_else_is_no_alias(alias: str) -> None:
    with pytest.raises(BadName, match="alias"):
        check_alias(alias)
    assert not is_alias(alias.encode())


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("1", 1),
        ("007", 7),
        ("0", 0),
        ("0" * 20, 0),
        ("0" * 20 + "2", 2),
        ("", None),
        ("-1", None),
        ("1.0", None),
        ("٣", None),
        ("²", None),
        ("v1", None),
    ],
)
def test_only_plain_digits_are_a_version(reference: str, version: int | None) -> None:
    assert as_version(reference) == version


def test_a_reference_of_many_digits_is_a_version_that_is_not_there() -> None:
    assert as_version("9" * 10_000) == int("9" * 18)
