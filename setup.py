"""The build: plain Python, or with INSITU_COMPILE=1 its hot path as C, which mypyc makes of the same modules.

Compiling needs a C compiler, Python's headers, and mypy beside what the server needs, whose types it reads:

    pip install '.[server,compile]'
    INSITU_COMPILE=1 pip install --no-build-isolation --no-deps --force-reinstall .

A module that is here is compiled whole. Who subclasses one of its classes has to be here too, and nobody
replaces a function of one from outside: docs/adr/0027-the-hot-path-compiles.md.
"""

import os
import sys
from typing import Any

from setuptools import setup

HOT = {
    "models": "assembly decoding encoding feast_keys feast_reader feast_values fields raw_sources rows stream_source "
    "templates text_sources ways",
    "server": "metrics",
    "server/counting": "cells series version_metrics",
    "server/inference": "answers asking awake batcher blocks columns gathering grouping jobs moments predictor "
    "requests runs stacking tensors texts",
    "server/inference/reading": "connection link raw reads rows",
    "server/resp": "gathered joined joined_dags rows session shortcuts slots upstream",
    "server/rest": "heads protocol replies turns vigil",
    "server/rest/v2": "turns",
}


def compiled() -> list[Any]:
    """Return the modules of the hot path as extensions."""
    try:
        from mypyc.build import mypycify  # noqa: PLC0415  # only who compiles has it
    except ImportError:
        sys.exit(
            "INSITU_COMPILE=1 needs mypy in this environment: pip install '.[compile]', --no-build-isolation"
        )
    paths = [f"{folder}/{name}.py" for folder, names in HOT.items() for name in names.split()]
    return list(mypycify(["--config-file", "pyproject.toml", *paths], opt_level="3", debug_level="0"))


setup(ext_modules=compiled() if os.environ.get("INSITU_COMPILE") == "1" else [])
