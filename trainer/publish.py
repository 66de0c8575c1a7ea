"""A trained model as a bundle, and its way into Redis."""

from datetime import UTC, datetime

from models.binding import bind
from models.bundle import Bundle
from models.connecting import connect
from models.graph import inspect_graph
from models.keys import Keys
from models.manifest import Manifest
from models.recipe import Recipe
from models.store import PRODUCTION, ModelStore
from trainer.card import card, rounded
from trainer.judging.page import page
from trainer.outcome import Outcome
from trainer.tasks.task import Task, answer_of


def compose(recipe: Recipe, task: Task, outcome: Outcome) -> Bundle:
    """Return the bundle of a trained model, not yet numbered.

    Raises: BadModelFile, BadFeatureView, when the graph and the recipe's view do not fit.
    """
    graph = inspect_graph(outcome.exported.onnx)
    beside = {f"baseline_{name}": value for name, value in outcome.baseline.scores.values.items()}
    manifest = Manifest(
        name=recipe.name,
        created=datetime.now(UTC).replace(microsecond=0),
        description=recipe.description,
        task=recipe.task,
        labels=recipe.classes,
        output=task.output,
        threshold=outcome.judgement.decided.threshold if outcome.judgement.decided else None,
        answer=answer_of(task, recipe),
        inputs=graph.inputs,
        outputs=graph.outputs,
        features=bind(recipe.features, graph.inputs),
        metrics=rounded(outcome.scores.values | beside),
        card=card(recipe, task, outcome),
        recipe=recipe.as_data(),
        opset=graph.opset,
        ir_version=graph.ir_version,
        producer=graph.producer,
    )
    return Bundle(manifest, outcome.exported.onnx, page(manifest))


async def publish(
    bundle: Bundle, redis_url: str, alias: str | None = PRODUCTION, keys: Keys | None = None
) -> Manifest:
    """Store a bundle as the next version of its model and point `alias` to it.

    Raises: BadName, RedisUnavailable.
    """
    async with connect(redis_url) as client:
        return await ModelStore(client, keys).publish(bundle, alias)
