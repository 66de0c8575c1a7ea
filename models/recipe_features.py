"""Whether the rows that a recipe names can fill its feature view."""

from collections.abc import Iterator

from models.binding import row_shape
from models.errors import BadFeatureView
from models.features import FeatureView, InputView
from models.recipe_data import Columnar, Data, Fielded, JsonTarget, KeyedTarget, RedisRows
from models.recipe_faults import fault, meant
from models.recipe_split import Split
from models.sources import (
    InlineSource,
    JsonField,
    ListSource,
    SequenceSource,
    StreamSource,
    VectorSource,
    json_path,
)
from models.templates import KeyTemplate

At = tuple[str | int, ...]


def check_input(view: InputView, number: int = 0) -> None:
    """Refuse an input that no row can fill or the network cannot take."""
    if view.dtype == "string":
        raise fault("is text; a network takes numbers, so give a field categories", "inputs", number, "dtype")
    if view.free_length and view.lengths is None:
        raise fault(
            f"reads a sequence of free length; name the input that takes each row's length "
            f"(lengths: {view.name}_length) or give its source pad: left or right",
            *("inputs", number),
        )
    try:
        row_shape(view)
    except BadFeatureView as error:
        raise fault(f"does not fit together: {error}", "inputs", number, "sources") from error


def check_rows(rows: KeyTemplate, view: FeatureView, data: Data) -> None:
    """Refuse a view that the rows cannot fill, or that reads the truth itself."""
    check_unseen(view, data)
    if not isinstance(data, RedisRows):
        check_templates(rows, view)
        check_columns(view, data)
        return
    check_keyed(view)
    target = [data.target] if isinstance(data.target, KeyedTarget) else []
    check_templates(rows, view, *((one.key, ("data", "target", "key")) for one in target))


def check_unseen(view: FeatureView, data: Data) -> None:
    """Refuse a field that is the target as well."""
    target = data.target
    if not isinstance(target, Fielded):
        return
    for at, key, name in fields_of(view):
        elsewhere = isinstance(target, KeyedTarget) and key != target.key
        if not elsewhere and name in told_by(target):
            raise fault(
                f"is {name!r}, which is the target as well; a network would be told what it shall say, "
                "take the field out",
                *at,
            )


def told_by(target: Fielded) -> tuple[str, ...]:
    """Return the names of a target's fields, of a document their paths."""
    return tuple(map(json_path, target.names)) if isinstance(target, JsonTarget) else target.names


def fields_of(view: FeatureView) -> Iterator[tuple[At, str, str]]:
    """Give the place, the key's template and the name of every field that a view reads, of a document its path."""
    for number, one in enumerate(view.inputs):
        for index, source in enumerate(one.sources):
            if not isinstance(source, VectorSource | ListSource):
                at: At = ("features", "inputs", number, "sources", index, source.kind, "fields")
                key = "" if isinstance(source, InlineSource) else source.key
                names = [one.where if isinstance(one, JsonField) else one.name for one in source.fields]
                yield from (((*at, place), key, name) for place, name in enumerate(names))


def check_keyed(view: FeatureView) -> None:
    """Refuse a source that rows of Redis keys cannot fill."""
    for number, one in enumerate(view.inputs):
        for index, source in enumerate(one.sources):
            if isinstance(source, InlineSource):
                raise fault(
                    "is inline; rows in Redis have no request to read it from, store the fields under a key",
                    *("features", "inputs", number, "sources", index),
                )


def check_templates(rows: KeyTemplate, view: FeatureView, *beside: tuple[str, At]) -> None:
    """Refuse a key that the placeholders of a row's own key cannot fill."""
    keys: list[tuple[str, At]] = [
        (source.key, ("features", "inputs", number, "sources", index, "key"))
        for number, part in enumerate(view.inputs)
        for index, source in enumerate(part.sources)
        if not isinstance(source, InlineSource)
    ]
    for key, at in [*keys, *beside]:
        unknown = set(KeyTemplate(key).placeholders) - set(rows.placeholders)
        if unknown:
            raise fault(
                f"is {key!r} and needs {', '.join(sorted(unknown))}, which the rows' key "
                f"{rows.text!r} does not give",
                *at,
            )


def check_columns(view: FeatureView, data: Columnar) -> None:
    """Refuse columns for a key that is no vector, list or stream of the view, and texts in the steps of one."""
    check_steps(view)
    arrays = VectorSource | SequenceSource
    known = [source.key for one in view.inputs for source in one.sources if isinstance(source, arrays)]
    for key in data.columns:
        if key not in known:
            raise fault(
                f"is for {key!r}, which is no vector, list or stream of the view{meant(key, known)}",
                *("data", "columns", key),
            )


def check_steps(view: FeatureView) -> None:
    """Refuse categories in a stream that is read from a column: its steps are numbers there."""
    for number, one in enumerate(view.inputs):
        for index, source in enumerate(one.sources):
            named = (
                [field.name for field in source.fields if field.categories]
                if isinstance(source, StreamSource)
                else []
            )
            if named:
                raise fault(
                    f"has categories ({', '.join(named)}), and steps in a column are numbers; take the "
                    "categories out, or learn from the streams themselves (source: redis)",
                    *("features", "inputs", number, "sources", index, "fields"),
                )


def check_split(rows: KeyTemplate, split: Split, data: Data) -> None:
    """Refuse a hash that holds no row's field, or for rows that lie in no Redis."""
    if split.key is None:
        return
    if not isinstance(data, RedisRows):
        raise fault(f"is for rows in Redis; {data.source} rows have columns, leave it out", "split", "key")
    check_templates(rows, FeatureView.model_construct(inputs=()), (split.key, ("split", "key")))
