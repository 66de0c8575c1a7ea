"""How this program was called, for commands that are printed to be pasted."""

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "insitu"


def program_name() -> str:
    """Return what to type to call this program again: its name, or its path when no shell finds the name."""
    called = Path(sys.argv[0])
    if called.name != NAME or shutil.which(NAME):
        return NAME
    near = os.path.relpath(called)
    return shlex.quote(str(called.absolute()) if near.startswith(os.pardir) else near)
