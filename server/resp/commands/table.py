"""Every command that is answered here, by its name in capitals."""

from server.resp.commands import (
    cataloguing,
    config,
    dag,
    executing,
    explaining,
    helping,
    model_statistics,
    models,
    predicting,
    tensors,
)
from server.resp.commands.command import Command

FAMILIES: tuple[tuple[Command, ...], ...] = (
    tensors.COMMANDS,
    models.COMMANDS,
    executing.COMMANDS,
    dag.COMMANDS,
    model_statistics.COMMANDS,
    config.COMMANDS,
    predicting.COMMANDS,
    explaining.COMMANDS,
    cataloguing.COMMANDS,
    helping.COMMANDS,
)
COMMANDS: dict[bytes, Command] = {one.name.encode(): one for family in FAMILIES for one in family}
