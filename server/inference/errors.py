"""Errors of the core beside those of `models/errors.py`; it knows no transport and no status code."""

from models.errors import BadFeatureView, InsituError, RedisRefused

FAULT = "internal_error"  # the code of what no class here names: a fault of this program


class BadInput(InsituError):
    """A tensor of the request that the graph does not take."""

    code = "bad_input"


class TooManyRows(InsituError):
    """More rows than one request may have; `numbers` where it is for so many that the model answers a row."""

    code = "too_many_rows"

    def __init__(self, rows: int, limit: int, numbers: int = 0) -> None:
        reason = f", as the model answers {numbers} numbers a row" if numbers else ""
        super().__init__(
            f"the request has {rows} rows, the limit is {limit}{reason}; send it in parts, or score keys as a "
            "batch with `insitu score`",
            rows=rows,
            limit=limit,
        )


class Overloaded(InsituError):
    """A queue is full; nothing was run."""

    code = "overloaded"

    def __init__(self, busy: str, waiting: int, retry_after_seconds: float) -> None:
        super().__init__(
            f"{busy} is busy ({waiting} waiting) and takes no more; try again in {retry_after_seconds:g} s",
            busy=busy,
            waiting=waiting,
            retry_after_seconds=retry_after_seconds,
        )
        self.retry_after_seconds = retry_after_seconds


TOO_MUCH_AT_ONCE = (Overloaded, TooManyRows)  # what callers meet together where each alone might not


class DeadlineExceeded(InsituError):
    """The request was not answered within its time; what had not run yet never does."""

    code = "deadline_exceeded"

    def __init__(self, seconds: float) -> None:
        seconds = max(0.0, seconds)  # it may have been over before anything began
        told = (
            f"{seconds:.3g} s; ask for less at once or allow"
            if seconds
            else "its time, which was over before it began; allow"
        )
        super().__init__(
            f"not answered within {told} more time with `timeout_ms`, in the Open Inference Protocol `timeout`",
            seconds=round(seconds, 3),
        )


class Stopping(InsituError):
    """The server ends; a request that takes too long for that is not waited for."""

    code = "stopping"

    def __init__(self) -> None:
        super().__init__("this server ends before this is answered; ask again, or ask another server")


class ModelNotLoadable(InsituError):
    """A stored version that ONNX Runtime refuses."""

    code = "model_not_loadable"

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(
            f"version {version} of model {name!r} cannot be loaded: {reason}; roll back or publish again",
            model=name,
            version=version,
            reason=reason,
        )


class RunFailed(InsituError):
    """ONNX Runtime refused this row's values."""

    code = "run_failed"

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(
            f"model {name!r} version {version} could not run this row: {reason}",
            model=name,
            version=version,
            reason=reason,
        )


# What one of several callers may have brought on the others: by its key, by its values.
OF_ONE_KEY = (*TOO_MUCH_AT_ONCE, RedisRefused)
OF_ONE_CALLER = (*TOO_MUCH_AT_ONCE, RunFailed, BadInput)


class NotExplainable(InsituError):
    """A prediction that is not one number of one row alone, or is made from too many features."""

    code = "not_explainable"


class TooFewSamples(NotExplainable):
    """A bound on the runs of an explanation that lets nothing be said."""

    code = "too_few_samples"

    def __init__(self, samples: int, features: int, least: int) -> None:
        super().__init__(
            f"{samples} samples are too few for {features} features; ask for at least {least}",
            samples=samples,
            features=features,
            least=least,
        )


class ProviderUnavailable(InsituError):
    """An execution provider was asked for by name and is not there."""

    code = "provider_unavailable"

    def __init__(self, wanted: str, available: list[str]) -> None:
        super().__init__(
            f"INSITU_PROVIDER={wanted}, but ONNX Runtime here runs on {', '.join(available)}; install "
            "`insitu[gpu]` on a machine with CUDA, or set INSITU_PROVIDER=auto",
            wanted=wanted,
            available=available,
        )


def no_view(model: str) -> BadFeatureView:
    """Return the error of asking a model for keys that was published without a feature view."""
    return BadFeatureView(
        f"model {model!r} has no feature view, so it reads no keys; ask with `inputs`, or publish "
        "it with `--features view.yaml`"
    )


def code_of(error: Exception) -> str:
    """Return the code that an error is counted and told by."""
    return error.code if isinstance(error, InsituError) else FAULT
