"""What INFO tells of the module: the sections that RedisAI adds, with what is true here."""

import resource
from collections.abc import Mapping

from server.inference.engine import Engine
from server.inference.sessions import RUNTIME

REDISAI_VERSION = "1.2.7"  # whose commands are answered
LOW_LEVEL_API_VERSION = 1
RDB_VERSION = 4
THREAD = getattr(resource, "RUSAGE_THREAD", None)  # Linux alone has it

Sections = Mapping[str, Mapping[str, object]]


def info_sections(engine: Engine) -> Sections:
    """Return the sections and their fields, without the prefix `ai_` that Redis gives the fields of a module.

    The limit of memory is that of all loaded versions together, in MiB; what they take is estimated.
    For the thread of the event loop: its time is told as that of the main thread.
    """
    options, limits = engine.catalogue.options, engine.limits
    return {
        "ai_versions": {
            "RedisAI_version": REDISAI_VERSION,
            "low_level_API_version": LOW_LEVEL_API_VERSION,
            "rdb_version": RDB_VERSION,
        },
        "ai_load_time_configs": {
            "threads_per_queue": options.run_threads,
            "inter_op_parallelism": 1,
            "intra_op_parallelism": options.intra_op_threads,
            "model_execution_timeout": round(1000 * limits.timeout_seconds),
            "backend_memory_limit": options.memory_bytes >> 20,
        },
        "ai_backends_info": {
            "onnxruntime_version": RUNTIME.rpartition(" ")[2],
            "onnxruntime_memory": sum(one.memory_bytes for one in engine.catalogue.loaded()),
            "onnxruntime_maximum_run_sessions_number": options.run_threads,
        },
        "ai_cpu": cpu_seconds(),
    }


def cpu_seconds() -> dict[str, str]:
    """Return the seconds of processors that this process, its children and its main thread have used."""
    kinds = {"self": resource.RUSAGE_SELF, "children": resource.RUSAGE_CHILDREN, "main_thread": THREAD}
    used = {name: resource.getrusage(kind) for name, kind in kinds.items() if kind is not None}
    seconds = {f"{name}_used_cpu_sys": one.ru_stime for name, one in used.items()}
    seconds |= {f"{name}_used_cpu_user": one.ru_utime for name, one in used.items()}
    return {name: f"{spent:.6f}" for name, spent in seconds.items()}
