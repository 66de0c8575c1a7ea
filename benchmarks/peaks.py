"""Peaks of memory: how far a process and all it started grow during one piece of work.

Source: proc_pid_clear_refs(5), 5 sets the peak back to what is resident; proc_pid_status(5), VmRSS and VmHWM in kB.
"""

from pathlib import Path

from benchmarks.faults import Missing
from benchmarks.processes import descendants, noted

RESET_PEAK = "5"


class Peak:
    """The peak of one process tree above what was resident when this was made."""

    def __init__(self, pid: int) -> None:
        self.pids = (pid, *descendants(pid))
        self.before = sum(noted(one, "status", "VmRSS:") for one in self.pids)

    def forget(self) -> None:
        """Set the peak back to what is resident now.

        Raises: Missing, the system does not let it.
        """
        for pid in self.pids:
            try:
                Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
            except OSError as error:
                raise Missing(f"peaks of memory take Linux and its /proc/PID/clear_refs: {error}") from error

    @property
    def growth_bytes(self) -> int:
        """How far the peak lies above what was resident at first."""
        return sum(noted(one, "status", "VmHWM:") for one in self.pids) - self.before
