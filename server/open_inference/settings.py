"""Trace and log settings as Triton words them: they are told, and changed where the server is started."""

import logging
from collections.abc import Mapping
from typing import Any

from models.errors import BadRequest, shown

NO_TRACE: dict[str, str | list[str]] = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}
TRACE_CURE = "traces are not made"
LOG_CURE = "start the server with INSITU_LOG_LEVEL"


def logged() -> dict[str, Any]:
    """Return what is logged."""
    levels = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
    root = logging.getLogger()
    return {
        "log_file": "",
        **{name: root.isEnabledFor(level) for name, level in levels.items()},
        "log_verbose_level": int(root.isEnabledFor(logging.DEBUG)),
        "log_format": "default",
    }


def check_same(told: Mapping[str, Any], given: Mapping[str, Any], cure: str) -> None:
    """Refuse a setting that would change.

    Raises: BadRequest.
    """
    for name, value in given.items():
        if name not in told or told[name] != value:
            raise BadRequest(
                f"setting {shown(name)!r} cannot become {shown(value)!r} while the server runs; {cure}",
                field=shown(name),
            )
