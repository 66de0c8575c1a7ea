"""Errors of scoring jobs, which carry the facts and know no transport, like those of `models/errors.py`.

InsituError
JobNotFound  JobUnreadable  JobUnderWay  RowsElsewhere
"""

from models.errors import InsituError, RedisRefused, shown


class JobNotFound(InsituError):
    """No scoring job of this name is kept."""

    code = "job_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no scoring job {shown(name)!r}; `insitu jobs` lists those that are kept",
            job=shown(name),
        )


class JobUnreadable(InsituError):
    """A job that this program does not understand: another version of it has begun it, or it was written over."""

    code = "job_unreadable"

    def __init__(self, name: str, reason: InsituError) -> None:
        said = (
            f"is not understood here ({reason}), so a newer version of Insitu has begun it; upgrade this one"
        )
        if isinstance(reason, RedisRefused):
            said = f"cannot be read: {reason}"
        super().__init__(f"job {shown(name)!r} {said}", job=shown(name))


class JobUnderWay(InsituError):
    """Somebody works on the same job right now."""

    code = "job_under_way"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"job {name!r} is being scored right now; `insitu score --resume` works on it too, "
            f"`insitu jobs {name} --cancel` ends it",
            job=name,
        )


class RowsElsewhere(InsituError):
    """The rows of a job that others began cannot be found from here."""

    code = "rows_elsewhere"

    def __init__(self, name: str, reason: InsituError) -> None:
        super().__init__(
            f"the rows of job {name!r} cannot be found from here: {reason}; the job waits: "
            "start the same command with --resume where they can",
            job=name,
        )
