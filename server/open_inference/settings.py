"""Trace and log settings as Triton words them: they are told, and changed where the server is started."""

import logging
from typing import Any

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
