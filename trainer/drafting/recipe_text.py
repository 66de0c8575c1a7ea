"""A draft as the text of a recipe, with comments that say why; what it says is valid and trains as it is."""

import json
import re
from collections.abc import Iterator, Mapping

from models.sources import json_path
from trainer.drafting.draft import SMALL_IMAGE, Draft, Field
from trainer.drafting.look import Vector

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
CATEGORIES_EMBEDDED = 20  # more are a learned vector each rather than a column each
COMMENTS_FROM = 48
LEFT_OUT_SHOWN = 12
CHANNELS = (1, 3, 4)  # of an image: grey, three colours, and how much they cover
LAST = "for convolutions put the channels first, in the file: x = np.moveaxis(x, -1, 1)"


def recipe_text(draft: Draft) -> str:
    """Return the recipe."""
    parts = (head(draft), data(draft), features(draft), labels(draft), network(draft), training(draft))
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def word(value: object) -> str:
    """Return a value as YAML: text that reads otherwise is quoted."""
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in NOT_TEXT
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{word(key)}: {word(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(word, value)) + "]"
    return str(value)


def noted(text: str, note: str) -> str:
    """Return a line with a comment behind it, on one line whatever the note holds."""
    said = " ".join(note.split()) if note.isprintable() else json.dumps(note)
    return f"{text:<{COMMENTS_FROM}} # {said[:100]}" if note else text


def head(draft: Draft) -> Iterator[str]:
    """Give name and task."""
    looked = draft.looked
    yield f"# Drafted by `insitu new` from {looked.rows:,} rows; change what you like, docs/recipes.md says how."
    yield f"name: {word(looked.name)}"
    yield noted(f"task: {draft.task}", draft.task_note)


def data(draft: Draft) -> Iterator[str]:
    """Give the data section."""
    looked = draft.looked
    yield "data:"
    for key, value in looked.source.items():
        yield f"  {key}: {word(value)}"
    yield f"  target: {word(looked.truth)}"
    columns = {source_key(draft, one): one.name for one in looked.vectors if "path" in looked.source}
    if columns:
        yield f"  columns: {word(columns)}"
    if draft.bad_share:
        yield noted(f"  max_bad_share: {draft.bad_share:g}", draft.bad_note)


def features(draft: Draft) -> Iterator[str]:
    """Give the feature view."""
    yield "features:"
    yield "  inputs:"
    if draft.fields:
        yield f"    - name: {word(fields_input(draft))}"
        yield "      sources:"
        yield f"        - key: {json.dumps(draft.looked.key)}"
        form, kind = ("hash", "hash") if draft.looked.paths is None else ("json", "document")
        yield f"          as: {form}"
        yield noted("          fields:", f"one {kind} a row; these fields are what the network reads")
        paths = draft.looked.paths or {}
        yield from (
            noted(f"            - {field_text(one, paths.get(one.name))}", one.note) for one in draft.fields
        )
    for one in draft.looked.vectors:
        yield f"    - name: {word(one.name)}"
        if one.dtype != "float32":
            yield f"      dtype: {one.dtype}"
        if one.kind in ("list", "stream") and one.free:
            yield f"      lengths: {word(one.name + '_length')}"
        yield "      sources:"
        yield from (
            stream_lines(draft, one) if one.kind == "stream" else [f"        - {source_text(draft, one)}"]
        )
    if draft.left_out:
        yield "  # left out:"
        yield from (
            f"  #   {printable(name)}: {printable(reason)}"
            for name, reason in draft.left_out[:LEFT_OUT_SHOWN]
        )
    if len(draft.left_out) > LEFT_OUT_SHOWN:
        yield f"  #   and {len(draft.left_out) - LEFT_OUT_SHOWN} more"


def stream_lines(draft: Draft, one: Vector) -> Iterator[str]:
    """Give the source of a stream."""
    yield f"        - key: {json.dumps(source_key(draft, one))}"
    yield "          as: stream"
    yield noted(f"          last: {one.steps}", "entries, oldest first; each is a step")
    yield noted("          fields:", "of an entry; these are what the network reads")
    yield from (noted(f"            - {field_text(step)}", step.note) for step in draft.steps)


def printable(text: str) -> str:
    """Return text that stays within its comment."""
    return text if text.isprintable() else json.dumps(text)


def fields_input(draft: Draft) -> str:
    """Return the name of the input that the fields make."""
    return next(
        name
        for name in ("x", "fields", "row_fields")
        if name not in {one.name for one in draft.looked.vectors}
    )


def field_text(one: Field, path: str | None = None) -> str:
    """Return a field as the view lists it; its path where its name does not say it."""
    told = None if path in (None, json_path(one.name)) else path
    if not one.categories and one.default is None and told is None:
        return word(one.name)
    options: dict[str, object] = {"name": one.name}
    if told is not None:
        options["path"] = told
    if one.categories:
        options["categories"] = list(one.categories)
    if one.default is not None:
        options["default"] = one.default
    if one.unknown is not None:
        options["unknown"] = one.unknown
    return word(options)


def source_key(draft: Draft, one: Vector) -> str:
    """Return the key of an array: the row's own where there are no fields before it."""
    first = not draft.fields and one is draft.looked.vectors[0]
    return draft.looked.key if first or not one.key else one.key


def source_text(draft: Draft, one: Vector) -> str:
    """Return the source of an array."""
    options: dict[str, object] = {"key": source_key(draft, one), "as": one.kind}
    if one.dtype != "float32":
        options["dtype"] = one.dtype
    options["shape"] = list(one.shape)
    if one.kind == "list":
        options |= {"last": one.steps} if one.free else {"last": one.steps, "pad": "right"}
    return word(options)


def labels(draft: Draft) -> Iterator[str]:
    """Give the labels, each with its rows."""
    if draft.task != "classification":
        return
    yield noted("labels:", "as they are stored; the first is class 0")
    for text, count in draft.labels:
        yield noted(
            f"  - {json.dumps(text, ensure_ascii=False)}", f"{count:,} rows, {count / draft.looked.rows:.1%}"
        )


def network(draft: Draft) -> Iterator[str]:
    """Give the network: a branch for each input where there are several."""
    branches: dict[str, str | list[str]] = {}
    if draft.fields:
        branches[fields_input(draft)] = fields_branch(draft)
    branches |= {one.name: vector_branch(draft, one) for one in draft.looked.vectors}
    last = {one.name for one in draft.looked.vectors if channels_last(one)}
    if len(branches) == 1:
        (only,) = branches.values()
        yield from whole(draft, only)
        return
    yield noted("network:", "a branch for each input; what they end in is joined")
    yield "  branches:"
    for name, layers in branches.items():
        line = f"    {word(name)}: {layers if isinstance(layers, str) else '[' + ', '.join(layers) + ']'}"
        yield noted(line, LAST if name in last else "")
    yield f"  then: [{', '.join(dense(draft))}]"


def whole(draft: Draft, layers: str | list[str]) -> Iterator[str]:
    """Give a network of one input."""
    if isinstance(layers, str):
        yield f"network: {layers}"
        return
    yield noted("network:", f"small for {draft.looked.rows:,} rows" if draft.looked.rows < 10_000 else "")
    notes = {"- standardize": "mean 0, deviation 1, fitted on the training rows; stays in the graph"}
    notes |= {"- clip: {low: -10, high: 10}": "no single number outshouts the others"}
    if any(map(channels_last, draft.looked.vectors)):
        notes["- flatten"] = LAST
    for layer in [*layers, *dense(draft)]:
        line = f"- {layer}"
        note = "each column by its kind" if layer.startswith("columns") else notes.get(line, "")
        yield noted(f"  {line}", note)


def fields_branch(draft: Draft) -> list[str]:
    """Return what brings fields to one scale."""
    if not any(one.categories or one.default is not None for one in draft.fields):
        return ["standardize", "clip: {low: -10, high: 10}"]
    treated: dict[str, object] = {}
    for one in draft.fields:
        if one.default is not None and not one.categories:
            treated[one.name] = ["missing", "standardize"]
        elif len(one.categories) > CATEGORIES_EMBEDDED:
            treated[one.name] = {"embedding": min(16, 2 + len(one.categories) // 4)}
    return [f"columns: {word(treated)}" if treated else "columns", "clip: {low: -10, high: 10}"]


def vector_branch(draft: Draft, one: Vector) -> str | list[str]:
    """Return what reads an array."""
    sizes = draft.sizes
    if one.kind in ("list", "stream"):
        return f"{{preset: gru, width: {sizes.width}, dropout: {sizes.dropout}}}"
    if is_image(one):
        return f"{{preset: cnn, dropout: {sizes.dropout}}}"
    flat = [] if len(one.shape) == 1 else ["flatten"]
    return ["standardize", "clip: {low: -10, high: 10}", *flat]


def is_image(one: Vector) -> bool:
    """Whether an array is an image as convolutions read it: (height, width) or (channels, height, width)."""
    colours = len(one.shape) == 2 or (len(one.shape) == 3 and one.shape[0] in CHANNELS)
    return one.kind == "vector" and colours and min(one.shape[-2:]) >= SMALL_IMAGE


def channels_last(one: Vector) -> bool:
    """Whether an array is an image of (height, width, channels), as Keras has them."""
    return len(one.shape) == 3 and one.shape[-1] in CHANNELS and min(one.shape[:2]) >= SMALL_IMAGE


def dense(draft: Draft) -> list[str]:
    """Return the layers that learn."""
    sizes = draft.sizes
    return [f"linear: {sizes.width}", "relu", f"dropout: {sizes.dropout}"] * sizes.depth


def training(draft: Draft) -> Iterator[str]:
    """Give the training section."""
    sizes = draft.sizes
    yield "training:"
    yield "  optimizer: adamw"
    yield f"  lr: {sizes.lr}"
    yield "  weight_decay: 0.01"
    yield "  schedule: cosine"
    yield noted(f"  epochs: {sizes.epochs}", "at most")
    yield noted(f"  patience: {sizes.patience}", "epochs without a lower validation loss, then it stops")
    yield f"  batch: {sizes.batch}"
    yield noted("  validation: 0.15", "chooses the best epoch")
    yield noted(
        "  test: 0.2", "held out, each label on its own; same rows of one person? split: {group: COLUMN}"
    )
