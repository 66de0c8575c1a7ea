"""The command on how production's requests are shared out between versions."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import WrongUsage
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, ModelName, Prefix, RedisUrl
from cli.settings import read_settings
from cli.stored import with_store
from cli.terminal import Terminal, plain

if TYPE_CHECKING:
    from models.store import ModelStore
    from models.traffic import Traffic

Shares = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VERSION=WEIGHT",
        help="A version or alias and its weight; the sum need not be 100.",
        show_default=False,
    ),
]


def traffic(
    name: ModelName,
    shares: Shares = None,
    *,
    clear: Annotated[
        bool, typer.Option("--clear", help="End the rule: production answers everything again.")
    ] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Share production's requests out between versions, or show how they are.

    A key always meets the same version. To try version 4 on a few: 3=95 4=5. Raise it to 3=80 4=20, and
    whoever met 4 still does. Then promote 4: that ends the rule, as rollback and publishing do. Requests
    that name a version are not concerned.
    """
    if clear and shares:
        raise WrongUsage("--clear ends the rule; leave the weights out, or leave --clear out")
    weights = [read_share(text) for text in shares or ()]

    async def job(store: "ModelStore") -> "Traffic | None":
        if clear:
            await store.clear_traffic(name)
            return None
        if weights:
            numbers = [(await store.resolve(name, one), weight) for one, weight in weights]
            return await store.set_traffic(name, each_once(numbers))
        await store.versions(name)
        return await store.traffic(name)

    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    show(Terminal(as_json=as_json), name, with_store(settings, job))


def read_share(text: str) -> tuple[str, float]:
    """Return the version and the weight of VERSION=WEIGHT.

    Raises: WrongUsage.
    """
    version, separator, weight = text.rpartition("=")
    if not separator or not version:
        raise WrongUsage(f"{text!r} is no VERSION=WEIGHT; write it as 4=5")
    try:
        return version, float(weight)
    except ValueError as error:
        raise WrongUsage(f"the weight of {text!r} is no number; write it as 4=5") from error


def each_once(shares: list[tuple[int, float]]) -> dict[int, float]:
    """Return the weight of each version.

    Raises: WrongUsage, a version is named twice, by number and by alias.
    """
    weights = dict(shares)
    if len(weights) < len(shares):
        raise WrongUsage("a version is given twice; give each one weight")
    return weights


def show(terminal: Terminal, name: str, rule: "Traffic | None") -> None:
    """Show a rule, or that there is none."""
    if terminal.as_json:
        weights, percent = (rule.weights, rule.percent) if rule else (None, None)
        terminal.emit({"model": name, "weights": weights, "percent": percent})
    elif rule is None:
        terminal.say(f"{name}: no traffic rule; production answers everything")
    else:
        rows = [
            (version, plain(rule.weights[version]), f"{share:g}%") for version, share in rule.percent.items()
        ]
        terminal.table([">version", ">weight", ">share"], rows)


COMMANDS = (
    Command(
        MODELS,
        traffic,
        (
            "insitu traffic breast_cancer",
            "insitu traffic breast_cancer 3=95 4=5",
            "insitu traffic breast_cancer production=90 canary=10",
            "insitu traffic breast_cancer --clear",
        ),
        "0 shown, set or ended; 1 no such model or version, or no rule to end",
    ),
)
