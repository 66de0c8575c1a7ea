"""Succession: what a new file keeps of the version before it, when nothing is said of the new one."""

from models.binding import bind
from models.composing import Wording
from models.errors import BadFeatureView
from models.features import FeatureView
from models.graph import GraphSummary
from models.manifest import Manifest


def inherited(previous: Manifest, graph: GraphSummary) -> Wording:
    """Return the words of a version for the graph that follows it, as far as its signature still fits.

    The feature view stays where it fits the inputs. Task, labels, threshold and names of values stay where
    the output that is worded has the same name, type and shape of a row; else the answers are tensors.
    """
    features = fitting_view(previous, graph)
    if not answers_alike(previous, graph):
        return Wording(features=features, description=previous.description)
    return Wording(
        features=features,
        labels=previous.labels,
        task=previous.task,
        output=previous.output,
        description=previous.description,
        threshold=previous.threshold,
        answer=previous.answer,
    )


def fitting_view(previous: Manifest, graph: GraphSummary) -> FeatureView | None:
    """Return the feature view, None where it does not fit the inputs of the graph."""
    if previous.features is None:
        return None
    try:
        return bind(previous.features, graph.inputs)
    except BadFeatureView:
        return None


def answers_alike(previous: Manifest, graph: GraphSummary) -> bool:
    """Whether the output that answers are worded from is there as it was."""
    before = next((spec for spec in previous.outputs if spec.name == previous.output), None)
    now = next((spec for spec in graph.outputs if spec.name == previous.output), None)
    if before is None or now is None:
        return before is now
    return before.dtype == now.dtype and widths(before.shape) == widths(now.shape)


def widths(shape: tuple[int | str, ...]) -> list[int | None]:
    """Return the shape of a row; a free dimension is None, whatever its name."""
    return [dim if isinstance(dim, int) else None for dim in shape[1:]]
