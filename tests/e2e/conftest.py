"""A real browser, and a real server over a real Redis with models and keys.

browser, page    Chromium, and a page of it
serve(...)       a factory: the address of a server with these settings
complaints       what the page says is wrong
"""

import asyncio
import shutil
import struct
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.connecting import connect
from models.store import ModelStore
from tests.conftest import missing
from tests.integration.rest.graphs import churn, price
from tests.serving import ServeCommand

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
READER, OWNER = "reader-token", "owner-token"
PHONE = {"width": 390, "height": 844}


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Do something in a thread, because Playwright keeps an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


async def published(url: str, *bundles: Bundle) -> None:
    """Publish models to a Redis or a cluster."""
    redis = connect(url)
    for one in bundles:
        await ModelStore(redis).publish(one)
    await redis.aclose()


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    if find_spec("playwright") is None:
        missing("no playwright: pip install 'insitu[e2e]'")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # the extra may be absent

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing("no browser: apt install chromium")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def stored(redis_url: str) -> None:
    """Models and keys."""
    apart(store(redis_url))


async def store(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        models = ModelStore(redis)
        await models.publish(churn())
        await models.publish(churn(description=HOSTILE), alias="canary")
        await models.publish(price())
        await redis.hset("customer:1", mapping={"age": 40, "spend": 12.5})
        await redis.hset("customer:3", mapping={"age": 35})
        await redis.set("flat:1", struct.pack("<2f", 3, 4))


@pytest.fixture
def serve(redis_url: str, stored: None) -> Iterator[Callable[..., str]]:
    """A factory: the address of a server with these settings."""
    started: list[ServeCommand] = []

    def start(**settings: str) -> str:
        url = settings.pop("INSITU_REDIS_URL", redis_url)
        started.append(ServeCommand(url, settings).start())
        return started[-1].url

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    context = browser.new_context(color_scheme="light")
    shown = context.new_page()
    yield shown
    context.close()


@pytest.fixture
def complaints(page: "Page") -> list[str]:
    """What the page says is wrong: errors, and what its policy refused."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console", lambda line: found.append(line.text) if "Content Security Policy" in line.text else None
    )
    return found
