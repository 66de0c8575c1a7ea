"""Whether rows of Redis keys can fill a recipe's feature view."""

from models.binding import row_shape
from models.errors import BadFeatureView
from models.features import FeatureView, InputView
from models.recipe_data import KeyedTarget, RedisRows
from models.recipe_faults import fault
from models.sources import InlineSource
from models.templates import KeyTemplate


def check_input(view: InputView, number: int = 0) -> None:
    """Refuse an input that rows of Redis keys cannot fill or the network cannot take."""
    if view.dtype == "string":
        raise fault("is text; a network takes numbers, so give a field categories", "inputs", number, "dtype")
    for index, source in enumerate(view.sources):
        if isinstance(source, InlineSource):
            raise fault(
                "is inline; rows in Redis have no request to read it from, store the fields under a key",
                *("inputs", number, "sources", index),
            )
    if view.free_length and view.lengths is None:
        raise fault(
            f"reads a list of free length; name the input that takes each row's length "
            f"(lengths: {view.name}_length) or give the list pad: left or right",
            *("inputs", number),
        )
    try:
        row_shape(view)
    except BadFeatureView as error:
        raise fault(f"does not fit together: {error}", "inputs", number, "sources") from error


def check_templates(rows: KeyTemplate, view: FeatureView, data: RedisRows) -> None:
    """Refuse a key that the placeholders of a row's own key cannot fill."""
    keys: list[tuple[str, tuple[str | int, ...]]] = [
        (source.key, ("features", "inputs", number, "sources", index, "key"))
        for number, part in enumerate(view.inputs)
        for index, source in enumerate(part.sources)
        if not isinstance(source, InlineSource)
    ]
    if isinstance(data.target, KeyedTarget):
        keys.append((data.target.key, ("data", "target", "key")))
    for key, at in keys:
        unknown = set(KeyTemplate(key).placeholders) - set(rows.placeholders)
        if unknown:
            raise fault(
                f"is {key!r} and needs {', '.join(sorted(unknown))}, which the rows' key "
                f"{rows.text!r} does not give",
                *at,
            )
