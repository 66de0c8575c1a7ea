"""The console's page of scoring jobs, over jobs as they lie in Redis."""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest
from redis.asyncio import Redis

from models.errors import KeyMissing
from models.jobs import JobSpec, ToSortedSet
from models.keys import Keys
from models.ledger import FAILED, Ledger
from models.tallies import Tally
from tests.e2e.conftest import HOSTILE, OWNER, PHONE, READER, apart

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IDLE = {"INSITU_MAX_JOBS": "0"}  # nobody works on the jobs but the test


@pytest.fixture
def kept(redis_url: str) -> None:
    """A job that is done, one that has failed, and one at 62 % that some process works on."""
    apart(keep(redis_url))


def tally(rows: int, seed: int) -> Tally:
    """Rows with probabilities as a network of two labels gives them."""
    drawn = np.random.default_rng(seed)
    made = Tally(scored=rows)
    made.add_numbers(np.concatenate([drawn.beta(1.5, 9, rows * 3 // 4), drawn.beta(8, 2, rows // 4)]))
    made.add_labels(Counter({"stays": rows * 3 // 4, "leaves": rows // 4}))
    made.skip(KeyMissing(f"customer:{HOSTILE}"), 12)
    return made


async def keep(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        jobs = {name: Ledger(redis, Keys(), name, "test") for name in ("done", "doomed", "nightly")}
        ranked = JobSpec(model="churn", version=1, label="leaves", to=(ToSortedSet(key="riskiest"),))
        for name, one in jobs.items():
            await one.begin(ranked if name == "nightly" else JobSpec(model="churn", version=1), host="server")
        for name, share in (("done", 1.0), ("nightly", 0.62)):
            await jobs[name].lead()
            await jobs[name].add([b"1", b"2"][: 1 + (name == "nightly")], "p", share)
            (part,) = await jobs[name].take(1, 10)
            await jobs[name].settle(part, tally(48_000, len(name)).to_json())
        await jobs["done"].walked()
        await jobs["doomed"].end(FAILED, f"model 'churn' has no label {HOSTILE!r}")
        await redis.set(Keys().job_working("nightly"), 1)  # it lives as long as the test


def test_jobs_are_drawn_with_how_far_they_are_and_what_came_of_them(
    page: "Page", serve: Callable[..., str], kept: None, complaints: list[str]
) -> None:
    page.goto(serve(**IDLE))
    page.click("nav >> text=Jobs")

    page.wait_for_selector(".job")
    assert page.locator(".job h3").all_inner_texts() == ["nightly", "doomed", "done"]
    assert page.locator(".job-head .badge").all_inner_texts() == ["running", "failed", "done"]
    assert page.locator(".job [role=progressbar]").get_attribute("aria-valuenow") == "62"
    assert "48,000 rows scored" in page.inner_text(".job >> nth=0")
    assert "into riskiest" in page.inner_text(".job >> nth=0")
    assert page.locator(".job >> nth=0 >> .spread rect").count() > 20
    assert page.inner_text(".job >> nth=0 >> .spread small") == "Probability of leaves"
    assert "stays" in page.inner_text(".job >> nth=2 >> .chips")
    assert complaints == []


def test_what_was_skipped_and_why_a_job_failed_is_shown_as_text(
    page: "Page", serve: Callable[..., str], kept: None
) -> None:
    page.goto(f"{serve(**IDLE)}/#/jobs")

    page.click(".job >> nth=2 >> summary")
    page.wait_for_timeout(2500)  # the list is read again, and what was opened stays open

    assert "12 rows could not be scored" in page.inner_text(".job >> nth=2 >> summary")
    assert "<script>" in page.inner_text(".job >> nth=2 >> .job-errors small")
    assert "<script>" in page.inner_text(".job >> nth=1 >> .fault")
    assert page.title() == "Jobs · Insitu"


def test_a_job_is_cancelled_by_a_button(page: "Page", serve: Callable[..., str], kept: None) -> None:
    page.goto(f"{serve(**IDLE)}/#/jobs")

    page.get_by_role("button", name="Cancel nightly").click()
    buttons = page.locator("dialog button").all_inner_texts()
    page.click("dialog >> text=Cancel the job")
    page.wait_for_selector(".job .badge:text-is('cancelled')")

    assert buttons == ["Keep it", "Cancel the job"]
    assert page.locator(".job button").count() == 0
    assert page.evaluate("document.activeElement.id") == "main"  # the button is gone, the keyboard stays near


def test_who_may_only_look_gets_no_button(page: "Page", serve: Callable[..., str], kept: None) -> None:
    tokens = ",".join(
        f"{scope}:{sha256(token.encode()).hexdigest()}"
        for scope, token in (("predict", READER), ("admin", OWNER))
    )
    page.goto(f"{serve(INSITU_TOKENS=tokens, **IDLE)}/#/jobs")
    buttons: list[int] = []

    for token in (READER, OWNER):
        page.click("text=Give a token" if not buttons else "#token-button")
        page.fill("dialog input", token)
        page.click("dialog >> text=Use")
        page.wait_for_selector("dialog:not([open])", state="attached")
        page.wait_for_timeout(500)
        page.wait_for_selector(".job")
        buttons.append(page.locator(".job button").count())

    assert buttons == [0, 1]


def test_jobs_fit_a_phone(browser: "Browser", serve: Callable[..., str], kept: None) -> None:
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]  # a TypedDict
    page = context.new_page()
    page.goto(f"{serve(**IDLE)}/#/jobs")
    page.wait_for_selector(".job")

    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()

    assert width == PHONE["width"]


def test_the_keyboard_keeps_its_place_while_jobs_are_read_again(
    page: "Page", serve: Callable[..., str], kept: None
) -> None:
    page.goto(f"{serve(**IDLE)}/#/jobs")
    page.wait_for_selector(".job")

    for wanted in ("nightly cancel", "done skipped", "done model"):
        held = f"[data-held='{wanted}']"
        page.focus(held)
        page.evaluate("document.activeElement.dataset.old = true")
        page.wait_for_selector("[data-old]", state="detached")
        assert page.evaluate("document.activeElement.dataset.held") == wanted
