"""A feature view fitted to a graph's signature: checked, and completed with its types."""

from collections.abc import Mapping, Sequence

from models.errors import BadFeatureView, NotANumber, shown
from models.features import FeatureView, InputView
from models.sources import (
    FeastSource,
    FeatureField,
    InlineSource,
    ListSource,
    SequenceSource,
    Source,
    StreamSource,
    VectorSource,
)
from models.tensors import Dtype, TensorSpec, elements
from models.values import number

FREE = "?"
Shape = tuple[int | str, ...]


def bind(view: FeatureView, inputs: Sequence[TensorSpec]) -> FeatureView:
    """Return the view with every input's dtype and shape as the graph wants them.

    Raises: BadFeatureView, an input too many or too few, or of another type or shape.
    """
    specs = {spec.name: spec for spec in inputs}
    given = [one.name for one in view.inputs] + [one.lengths for one in view.inputs if one.lengths]
    unknown = [name for name in given if name not in specs]
    absent = [name for name in specs if name not in given]
    if unknown or absent:
        raise BadFeatureView(
            f"the graph's inputs are {', '.join(specs)}; the feature view "
            + "; ".join(
                f"{verb} {', '.join(names)}"
                for verb, names in (("also names", unknown), ("leaves out", absent))
                if names
            ),
            unknown=unknown,
            absent=absent,
        )
    return FeatureView(inputs=tuple(bind_input(one, specs) for one in view.inputs))


def bind_input(one: InputView, specs: dict[str, TensorSpec]) -> InputView:
    """Return one input of the view completed.

    Raises: BadFeatureView, when it does not fit.
    """
    spec = specs[one.name]
    if one.dtype not in (None, spec.dtype):
        raise BadFeatureView(f"input {one.name!r} is {spec.dtype} in the graph, not {one.dtype}")
    if one.lengths is not None:
        check_lengths(specs[one.lengths])
    shape = check_sources(one, spec.dtype)
    facts: dict[str, object] = {"dtype": spec.dtype}
    if one.shape is None and shape == (1,) and not spec.shape[1:]:
        facts["shape"] = ()
        shape = ()
    check_shape(one, shape, spec, lone_size(spec, specs))
    return one.model_copy(update=facts)


def lone_size(spec: TensorSpec, specs: Mapping[str, TensorSpec]) -> int:
    """Return the size of the first axis of an input, where it is fixed and another input has another; else 0."""
    firsts = {one.shape[0] for one in specs.values() if one.shape}
    size = spec.shape[0] if spec.shape else 0
    return size if isinstance(size, int) and len(firsts) > 1 else 0


def check_lengths(spec: TensorSpec) -> None:
    """Refuse a lengths input that is not one int64 a row."""
    if spec.dtype != "int64" or len(spec.shape) != 1:
        raise BadFeatureView(
            f"lengths input {spec.name!r} is {spec.dtype} {list(spec.shape)} in the graph; "
            "it must be int64 with one value a row"
        )


def check_sources(one: InputView, dtype: Dtype) -> Shape:
    """Return the shape of one row of an input of that type.

    Raises: BadFeatureView, sources that cannot be joined or hold what the type does not take.
    """
    for source in one.sources:
        if isinstance(source, VectorSource | SequenceSource):
            check_numbers(source, one.name, dtype)
        if not isinstance(source, VectorSource | ListSource):
            for field in source.fields:
                check_field(field, one.name, dtype)
    return row_shape(one)


def check_numbers(source: VectorSource | SequenceSource, name: str, dtype: Dtype) -> None:
    """Refuse numbers where the graph takes text, and stand-ins that the type or a category does not take."""
    if dtype == "string":
        raise BadFeatureView(f"input {name!r} takes text; a vector, list or stream gives numbers, use a hash")
    check_number(source.default, dtype, f"default of key {source.key!r}")
    if isinstance(source, StreamSource):
        check_default(source)
    if isinstance(source, SequenceSource) and source.pad != "none":
        check_number(source.pad_value, dtype, f"pad_value of key {source.key!r}")


def check_default(source: StreamSource) -> None:
    """Refuse a step that stands in for a stream, where it is the number of no category of a field."""
    for field in source.fields if source.default is not None else ():
        if field.categories and source.default not in range(len(field.categories)):
            raise BadFeatureView(
                f"default of key {source.key!r} is {source.default:g}, which is the number of no category of field "
                f"{field.name!r}; its categories are numbered from 0 to {len(field.categories) - 1}"
            )


def check_field(field: FeatureField, name: str, dtype: Dtype) -> None:
    """Refuse a field whose values could never be of the input's type."""
    if not field.categories:
        check_number(field.default, dtype, f"default of field {field.name!r}")
        return
    if dtype == "string":
        raise BadFeatureView(
            f"field {field.name!r} has categories, which are numbers, but input {name!r} takes text; "
            "leave the categories out"
        )
    try:
        number(len(field.categories) - 1, dtype, "")
    except NotANumber as error:
        count = len(field.categories)
        raise BadFeatureView(f"field {field.name!r} has {count} categories, too many for {dtype}") from error


def check_number(value: float | str | None, dtype: Dtype, place: str) -> None:
    """Refuse a stand-in that the input's type does not take."""
    if value is None or dtype == "string":
        return
    try:
        number(value, dtype, place)
    except NotANumber as error:
        hint = "; give a number, or categories" if isinstance(value, str) else ""
        raise BadFeatureView(f"{place} is {shown(value)!r}, which is no {dtype} number{hint}") from error


def row_shape(one: InputView) -> Shape:
    """Return the shape of one row as the sources give it; a free length is '?'.

    Raises: BadFeatureView, sources that cannot be joined along the last axis.
    """
    shapes = [shape for source in one.sources for shape in source_shapes(source)]
    if any(len(shape) != len(shapes[0]) or shape[:-1] != shapes[0][:-1] for shape in shapes):
        listed = ", ".join(str(list(shape)) for shape in shapes)
        raise BadFeatureView(
            f"input {one.name!r}: sources of shapes {listed} cannot be joined along the last axis"
        )
    last = sum(shape[-1] for shape in shapes if isinstance(shape[-1], int))
    joined = (*shapes[0][:-1], last)
    if one.shape is None:
        return joined
    if elements(one.shape) != elements([dim for dim in joined if isinstance(dim, int)]):
        raise BadFeatureView(
            f"input {one.name!r}: shape {list(one.shape)} has another number of elements "
            f"than the sources, {list(joined)}"
        )
    return one.shape


def source_shapes(source: Source) -> list[Shape]:
    """Return what a source adds to a row: one shape, or one a field that may be a list."""
    if isinstance(source, VectorSource):
        return [source.shape]
    if isinstance(source, SequenceSource):
        return [(FREE if source.pad == "none" else source.last, *source.shape)]
    if isinstance(source, InlineSource | FeastSource):
        return [field.shape or (1,) for field in source.fields]
    return [(len(source.fields),)]


def check_shape(one: InputView, shape: Shape, spec: TensorSpec, rows: int) -> None:
    """Refuse a row shape that the graph does not take; `rows` is the size of a first axis that counts no rows."""
    wanted = spec.shape[1:]
    if rows not in (0, 1):
        raise BadFeatureView(
            f"input {one.name!r} has a first axis of {rows} in the graph, which is not that of every input; a view "
            "gives one a row: export the graph with a free first axis, or publish it without a view and send tensors",
            shape=list(spec.shape),
        )
    same = len(shape) == len(wanted) and all(
        dim == want or isinstance(want, str) for dim, want in zip(shape, wanted, strict=True)
    )
    if not same:
        raise BadFeatureView(
            f"input {one.name!r}: the view gives rows of shape {list(shape)}, "
            f"the graph takes {list(wanted)}"
            + ("; `pad: left` or `right` fixes the length" if FREE in shape else ""),
            shape=list(shape),
            wanted=list(wanted),
        )
