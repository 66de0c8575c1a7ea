"""check: looks at a whole set-up, says what is wrong and what cures it."""

import asyncio

import typer

from cli.checks.findings import Finding, fail, warn
from cli.errors import ExitCode, RedisUnreachable
from cli.manual import START, Command
from cli.options import AsJson, DataDir, Prefix, RedisUrl, ServerUrl, Token
from cli.progress import Work
from cli.settings import Settings, read_settings
from cli.terminal import Terminal
from models.errors import InsituError


def check(
    *,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
    url: ServerUrl = None,
    token: Token = None,
) -> None:
    """Tell what is wrong with this set-up, and what cures it."""
    from cli.checks.installation import check_installation
    from cli.checks.server_side import check_exposure, check_server

    terminal = Terminal(as_json=as_json)
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix, url=url, token=token)
    findings = check_installation()
    findings += asyncio.run(check_stored(terminal, settings))
    findings += [*check_exposure(), *check_server(settings)]
    show(terminal, findings)


async def check_stored(terminal: Terminal, settings: Settings) -> list[Finding]:
    """Look at Redis and, when it answers, at the models in it."""
    from cli.checks.redis_side import check_redis
    from cli.checks.stored_models import check_models
    from cli.connection import opened, redis_url

    try:
        async with opened(settings) as store:
            findings = await check_redis(store, redis_url(settings))
            with Work(terminal, "looking at the models") as work:
                return findings + await check_models(store, work.update)
    except RedisUnreachable as error:
        what, _, cure = str(error).partition("; ")
        missing = warn if settings.redis_url is None else fail
        return [missing("Redis", what, cure)]
    except InsituError as error:
        return [fail("Redis", str(error), "mend what it names")]


def show(terminal: Terminal, findings: list[Finding]) -> None:
    """Show every finding; the command fails when one of them does.

    Raises: typer.Exit, code 1, when something does not work.
    """
    failed = [one for one in findings if one.state == "fail"]
    if terminal.as_json:
        terminal.emit({"ok": not failed, "findings": [one.as_data() for one in findings]})
    else:
        for one in findings:
            show_finding(terminal, one)
        warned = sum(one.state == "warn" for one in findings)
        terminal.say(f"{len(findings)} checks: {len(failed)} failed, {warned} to look at")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def show_finding(terminal: Terminal, finding: Finding) -> None:
    """Show one finding and its cure."""
    terminal.say(f"{finding.state:<4}  {finding.area:<12}  {finding.what}", finding.state)
    if finding.cure:
        terminal.say(f"{'':<20}  cure: {finding.cure}")


COMMANDS = (
    Command(
        START,
        check,
        ("insitu check", "insitu check --json", "insitu check --url http://10.0.0.5:8000"),
        "0 nothing fails, whatever there is to look at; 1 something does not work",
    ),
)
