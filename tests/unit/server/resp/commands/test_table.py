"""The table of commands leaves out none that a module has."""

from server.resp.commands.table import COMMANDS
from tests.unit.server.resp.families import every_command


def test_every_command_of_every_module_is_in_the_table_by_its_name() -> None:
    assert {one.name.encode(): one for one in every_command()} == COMMANDS
