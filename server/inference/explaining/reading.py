"""The rows of a request as tensors of one row each, with what was filled in or is wrong with them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.assembly import Plan
from models.errors import InsituError
from server.inference.asking import Ask
from server.inference.errors import NotExplainable, no_view
from server.inference.explaining.references import Feeds
from server.inference.loading import Serving
from server.inference.reading.reads import awaited
from server.inference.tensors import tensors_of

Send = Callable[[Sequence[bytes], Callable[[list[Any] | InsituError], None]], None]


@dataclass(slots=True)
class Features:
    """What was read for one row: tensors (1, ...) by input, or an error."""

    feeds: Feeds = field(default_factory=dict)
    filled: Sequence[str] = ()
    error: InsituError | None = None


async def features_of(send: Send, serving: Serving, ask: Ask, rows: Sequence[int]) -> list[Features]:
    """Read the features of some rows of a request; `send` is the reader's `ask`.

    Raises: NotExplainable, BadFeatureView, BadRequest, BadInput, RedisUnavailable, Overloaded.
    """
    manifest = serving.manifest
    if serving.rows != "apart":
        raise NotExplainable(
            f"the rows of model {manifest.name!r} are {serving.rows}: an answer depends on the rows beside it, "
            "so none can be explained alone",
            model=manifest.name,
        )
    if ask.inputs is not None:
        feeds, count = tensors_of(manifest, ask.inputs, serving.rows)
        return [Features({name: one[at : at + 1] for name, one in feeds.items()}) for at in range(count)]
    if serving.plan is None:
        raise no_view(manifest.name)
    return await read(send, serving.plan, ask, rows)


async def read(send: Send, plan: Plan, ask: Ask, rows: Sequence[int]) -> list[Features]:
    """Read rows by their keys or instances in one round trip."""
    if ask.missing is not None:
        plan.check_missing(ask.missing)
    if ask.keys is not None:
        prepared = plan.prepare_keys([ask.keys[row] for row in rows])
    else:
        instances = ask.instances or ()
        prepared = plan.prepare([instances[row] for row in rows])
    commands = prepared.encoded()
    replies = await awaited(send, commands) if commands else []
    assembled = plan.assemble(prepared, replies, ask.missing)
    found = [Features(error=assembled.errors.get(at)) for at in range(len(rows))]
    for group in assembled.groups:
        for at, row in enumerate(group.rows):
            found[row].feeds = dict(alone(plan, group.feeds, at))
            found[row].filled = assembled.filled.get(row, ())
    return found


def alone(plan: Plan, feeds: Feeds, at: int) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of one row of a group, without the padding that others needed."""
    lengths = {one.name: one.lengths for one in plan.view.inputs if one.lengths is not None}
    for name, tensor in feeds.items():
        length = lengths.get(name)
        yield name, tensor[at : at + 1] if length is None else tensor[at : at + 1, : int(feeds[length][at])]
