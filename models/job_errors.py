"""Errors of scoring jobs, which carry the facts and know no transport, like those of `models/errors.py`.

InsituError
JobNotFound  JobUnderWay
"""

from models.errors import InsituError, shown


class JobNotFound(InsituError):
    """No scoring job of this name is kept."""

    code = "job_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no scoring job {shown(name)!r}; `insitu jobs` lists those that are kept",
            job=shown(name),
        )


class JobUnderWay(InsituError):
    """Somebody works on the same job right now."""

    code = "job_under_way"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"job {name!r} is being scored right now; `insitu score --resume` works on it too, "
            f"`insitu jobs {name} --cancel` ends it",
            job=name,
        )
