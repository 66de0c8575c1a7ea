"""train: recipes become stored models; what happens on the way is a bar, or JSON lines."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.checkpointing import (
    CheckpointDir,
    CheckpointEpochs,
    CheckpointSeconds,
    Keeping,
    Resume,
    ending_in_order,
)
from cli.errors import NotPublishable, WrongUsage, needs
from cli.keeping import kept_whatever_comes
from cli.key_files import signing_of
from cli.made import make_folder, write
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, Prefix, RedisUrl, SignWith, complete_version
from cli.settings import Settings, read_settings
from cli.terminal import Terminal
from models.errors import RedisRefused
from models.keys import Keys, check_alias

if TYPE_CHECKING:
    from models.manifest import Manifest
    from models.recipe import Recipe
    from trainer.contest.contest import Contest
    from trainer.datasets.loading import Loaded
    from trainer.outcome import TrainResult

NONE = "none"


class Promotion(StrEnum):
    """When the alias shall point to a new version."""

    ALWAYS = "always"
    BETTER = "better"
    NEVER = "never"


RECIPE_FILES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with each recipe beside training it."""

    load: bool
    alias: str | None
    promote_if: Promotion
    publish: bool
    out: Path | None
    keeping: Keeping


def complete_recipe(incomplete: str) -> list[str]:
    """Return the ready recipes that begin as typed."""
    from models.recipe import ready_recipes

    return [name for name in ready_recipes() if name.startswith(incomplete)]


def train(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="Ready recipes (breast_cancer, digits, wine, ...) or YAML files.",
            show_default=False,
            autocompletion=complete_recipe,
        ),
    ],
    *,
    load: Annotated[
        bool,
        typer.Option("--load", help="First put the recipe's ready data set, or its file's rows, into Redis."),
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish/--no-publish", help="Whether to store the model in Redis.")
    ] = True,
    alias: Annotated[
        str, typer.Option("--alias", metavar="ALIAS", help="Alias that shall point to it; none for no alias.")
    ] = "production",
    promote_if: Annotated[
        Promotion,
        typer.Option(
            "--promote-if",
            help="When the alias shall point to it: better compares it with the version the alias points to, on the "
            "same held-out rows.",
        ),
    ] = Promotion.ALWAYS,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Also write model.onnx, manifest.json, card.html and report.svg there.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL[:V]",
            help="Version whose weights the training begins with.",
            autocompletion=complete_version,
        ),
    ] = None,
    sign_with: SignWith = None,
    checkpoint: CheckpointDir = None,
    checkpoint_seconds: CheckpointSeconds = 30.0,
    checkpoint_epochs: CheckpointEpochs = None,
    resume: Resume = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Train recipes on rows that lie in Redis or in files, and publish the models."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix, sign_with=sign_with)
    read = [(begun_with(read_recipe(text), start), folder_of(text)) for text in recipes]
    keeping = Keeping(checkpoint, checkpoint_seconds, checkpoint_epochs, resume)
    plan = Plan(load, None if alias == NONE else alias, promote_if, publish, out, keeping)
    check_plan([recipe for recipe, _ in read], plan)
    terminal = Terminal(as_json=as_json)
    if any(needs_redis(recipe, plan) for recipe, _ in read):
        published = [recipe.name for recipe, _ in read] if plan.publish else []
        settings = settings.model_copy(update={"redis_url": checked_url(settings, published)})
    for recipe, folder in read:
        make(terminal, recipe, plan, settings, folder)


def read_recipe(text: str) -> "Recipe":
    """Return a ready recipe, or the one in a file.

    Raises: BadRecipe.
    """
    from models.recipe import Recipe, ready_recipe

    path = Path(text)
    return Recipe.load(path) if path.suffix in RECIPE_FILES or path.exists() else ready_recipe(text)


def begun_with(recipe: "Recipe", start: str | None) -> "Recipe":
    """Return the recipe with another version to begin with.

    Raises: BadRecipe.
    """
    if start is None:
        return recipe
    from models.recipe_changes import changed

    begun: Recipe = changed(recipe, {"training.from": start}, "--from")
    return begun


def folder_of(text: str) -> Path | None:
    """Return the folder from where a recipe's paths are seen; a ready recipe has none."""
    path = Path(text)
    return path.parent if path.suffix in RECIPE_FILES or path.exists() else None


def needs_redis(recipe: "Recipe", plan: Plan) -> bool:
    """Whether a Redis is read from or written to."""
    reads = recipe.data.source == "redis" or recipe.training.from_ is not None
    return plan.publish or plan.load or reads


def check_plan(recipes: "Sequence[Recipe]", plan: Plan) -> None:
    """Stop before any work on what cannot be done: a training that nothing can be stored of takes its time in vain.

    Raises: WrongUsage; BadName, the alias could not be one.
    """
    if plan.alias is not None:
        check_alias(plan.alias)
    for recipe in recipes:
        if plan.load and recipe.data.source == "redis" and recipe.data.dataset is None:
            raise WrongUsage(f"recipe {recipe.name} names no ready data set (data.dataset); leave --load out")
    if not plan.publish and plan.out is None:
        raise WrongUsage("--no-publish without --out DIR would throw the model away")
    if plan.out is not None and len(recipes) > 1:
        raise WrongUsage(f"--out takes one recipe, {len(recipes)} are given")
    plan.keeping.check(len(recipes))
    if plan.out is not None:
        make_folder(plan.out)


def checked_url(settings: Settings, published: "Sequence[str]" = ()) -> str:
    """Return the URL of a Redis that answers, and where models of these names could be published now, signed if asked.

    Raises: RedisUnreachable, BadName, BadKey; NotPublishable, Redis would refuse them.
    """
    from cli.connection import opened, redis_url
    from models.publishable import check_publishable

    async def ask() -> None:
        async with opened(settings, signs=bool(published)) as store:
            for name in published:
                try:
                    await check_publishable(store.redis, store.keys, name)
                except RedisRefused as error:
                    raise NotPublishable(name, error) from error

    asyncio.run(ask())
    return redis_url(settings)


def make(
    terminal: Terminal, recipe: "Recipe", plan: Plan, settings: Settings, folder: Path | None = None
) -> None:
    """Load, train, write and publish one recipe.

    Raises: NotInstalled; what `trainer.run.train` raises.
    """
    with needs("trainer"):
        from cli.training_view import TrainingView
        from trainer.run import Place
        from trainer.run import train as train_recipe
    check_extras(recipe)
    checkpoint = plan.keeping.of(recipe.name)
    with TrainingView(terminal, recipe.name) as view, ending_in_order(checkpoint, view):
        if plan.load:
            asyncio.run(load_rows(recipe, settings, view, folder))
        place = Place(folder, checkpoint, Keys(settings.prefix), signing_of(settings, signs=False))
        result = train_recipe(recipe, settings.redis_url, view, place)
        with kept_whatever_comes(result, plan.out, alias_of(plan), view):
            if plan.out is not None:
                write(result, plan.out)
            contest = asyncio.run(contested(recipe, result, settings, (plan, folder)))
            published = asyncio.run(publish_bundle(result, settings, contest)) if plan.publish else None
        if checkpoint is not None:
            checkpoint.remove()
    show(terminal, result, published, (plan, contest))


def alias_of(plan: Plan) -> str:
    """Return the alias that a model gets without a contest."""
    return NONE if plan.alias is None or plan.promote_if is not Promotion.ALWAYS else plan.alias


def check_extras(recipe: "Recipe") -> None:
    """Stop before any work where a recipe asks for what is not installed.

    Raises: NotInstalled.
    """
    if recipe.search is not None:
        with needs("search"):
            import optuna  # noqa: F401  # the trainer uses it
    if recipe.training.privacy is not None:
        with needs("privacy"):
            import opacus  # noqa: F401  # the trainer uses it


async def load_rows(
    recipe: "Recipe", settings: Settings, view: Any, folder: Path | None, *, overwrite: bool = False
) -> "Loaded":
    """Put the recipe's data set, or its file's rows, into Redis.

    Raises: UnknownDataset, BadData, DatasetConflict, RedisUnavailable.
    """
    from cli.connection import opened
    from models.privacy import Privacy
    from trainer.datasets.catalogue import dataset
    from trainer.datasets.loading import load_into
    from trainer.events import Journal
    from trainer.reading.stored import dataset_of

    with Journal(view).stage("load") as stage, Privacy.of(recipe.as_data()).in_errors():
        ready = recipe.data.dataset
        rows = dataset_of(recipe, folder) if ready is None else dataset(ready)
        async with opened(settings) as store:
            loaded = await load_into(store.redis, rows, stage_progress(stage), overwrite=overwrite)
        stage.result = f"{loaded.rows} rows at {recipe.rows.text}, {loaded.written} keys written"
    return loaded


def stage_progress(stage: Any) -> Any:
    """Return a listener that tells a stage how far it is."""

    def progress(done: int, total: int) -> None:
        stage.total = total
        stage.advance(done)

    return progress


@dataclass(frozen=True, slots=True)
class Standing:
    """The alias that a new version gets, None for none, and the contest that decided it, if there was one."""

    alias: str | None
    contest: "Contest | None" = None


async def contested(
    recipe: "Recipe", result: "TrainResult", settings: Settings, planned: tuple[Plan, Path | None]
) -> Standing:
    """Return the alias that the model shall get, after a contest with the champion where one is asked for.

    Raises: BundleCorrupt, ManifestUnreadable, RedisUnavailable, RedisRefused.
    """
    from cli.connection import opened
    from trainer.contest.contest import challenge

    plan, folder = planned
    if not plan.publish or plan.alias is None or plan.promote_if is Promotion.NEVER:
        return Standing(None)
    if plan.promote_if is Promotion.ALWAYS:
        return Standing(plan.alias)
    async with opened(settings) as store:
        contest = await challenge(store, recipe, result, plan.alias, folder)
    return Standing(plan.alias if contest.promoted else None, contest)


async def publish_bundle(result: "TrainResult", settings: Settings, standing: Standing) -> "Manifest":
    """Store the model as the next version.

    Raises: BadName, RedisUnavailable, RedisRefused.
    """
    from cli.connection import opened

    async with opened(settings, signs=True) as store:
        return await store.publish(result.bundle, standing.alias)


def show(
    terminal: Terminal,
    result: "TrainResult",
    published: "Manifest | None",
    decided: tuple[Plan, Standing],
) -> None:
    """Tell what a training came to."""
    from cli.training_view import as_data, show_trials, summary

    plan, standing = decided
    version = published.version if published else None
    if terminal.as_json:
        contest = {"contest": standing.contest.as_data()} if standing.contest else {}
        facts = as_data(result, version, standing.alias if published else None)
        terminal.emit({"event": "done", **facts, **contest})
        return
    show_trials(terminal, result.outcome.trials)
    for line in summary(result):
        terminal.say(line)
    name = result.bundle.manifest.name
    if standing.contest:
        stays = (
            ""
            if standing.contest.promoted
            else f"; {plan.alias} stays at version {standing.contest.champion}"
        )
        terminal.say(f"  contest   {standing.contest.why}{stays}")
    if published:
        pointed = f", {standing.alias} points to it" if standing.alias else ""
        terminal.say(f"{name} version {version} is published{pointed}", "strong")
    if plan.out:
        terminal.say(f"written to {plan.out}: model.onnx, manifest.json, card.html, report.svg")


COMMANDS = (
    Command(
        MODELS,
        train,
        (
            "insitu train breast_cancer --load",
            "insitu train breast_cancer digits japanese_vowels --load --json",
            "insitu train ./churn.yaml --alias canary",
            "insitu train ./from_csv.yaml --load",
            "insitu train ./churn.yaml --promote-if better",
            "insitu train ./churn.yaml --no-publish --out ./made",
            "insitu train ./churn.yaml --sign-with release.key",
            "insitu train ./churn.yaml --checkpoint ./kept --resume",
        ),
        "0 trained and published; 1 the recipe or its rows are refused, or training failed",
    ),
)
