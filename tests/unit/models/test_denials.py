"""What Redis says no to, by the words of each of its versions."""

import pytest

from models.denials import of_a_command, of_a_key

KEY_6 = "NOPERM this user has no permissions to access one of the keys used as arguments"
KEY_7 = "NOPERM No permissions to access a key"
COMMAND_6 = "NOPERM this user has no permissions to run the 'mget' command or its subcommand"
COMMAND_7 = "NOPERM User reader has no permissions to run the 'mget' command"
CHANNEL = "NOPERM this user has no permissions to access one of the channels used as arguments"
LOGIN = "NOAUTH Authentication required."


@pytest.mark.parametrize("said", [KEY_6, KEY_7])
def test_a_key_is_told_from_what_concerns_every_key(said: str) -> None:
    assert of_a_key(said)
    assert not of_a_command(said)


@pytest.mark.parametrize("said", [COMMAND_6, COMMAND_7])
def test_a_command_is_told_from_a_key(said: str) -> None:
    assert of_a_command(said)
    assert not of_a_key(said)


@pytest.mark.parametrize("said", [CHANNEL, LOGIN, "ERR unknown command 'MGET'", "NOPERM of another kind"])
def test_whatever_else_is_said_is_neither(said: str) -> None:
    assert not of_a_key(said)
    assert not of_a_command(said)
