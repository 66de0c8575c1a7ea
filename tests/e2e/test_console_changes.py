"""The console while things change: versions come and go, the server is away or slow, numbers are long."""

import json
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.e2e.conftest import apart
from tests.integration.rest.graphs import churn
from tests.serving import ServeCommand

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

NO_STORAGE = """for (const name of ["sessionStorage", "localStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
}"""


def in_redis(redis_url: str, act: "Callable[[ModelStore], object]") -> None:
    """Change what is stored."""

    async def run() -> None:
        async with Redis.from_url(redis_url) as redis:
            await act(ModelStore(redis))  # type: ignore[misc]  # a coroutine

    apart(run())


async def publish_many(store: ModelStore) -> None:
    for _ in range(20):
        await store.publish(churn(), alias=None)


def held(page: "Page") -> str:
    return str(page.evaluate("document.activeElement.dataset.held"))


def test_versions_that_are_not_shown_are_counted_and_shown_by_a_button(
    page: "Page", serve: Callable[..., str], redis_url: str, complaints: list[str]
) -> None:
    url = serve()
    in_redis(redis_url, publish_many)
    page.goto(f"{url}/#/models/churn")
    page.wait_for_selector(".versions li")
    few = page.locator(".versions li").count()
    assert "The newest 10 of 22 versions are shown." in page.inner_text(".more")

    page.click("text=Show 50 more")

    page.wait_for_selector(".versions li >> nth=21")
    assert (few, page.locator(".more").count(), held(page)) == (10, 0, "v12")
    assert complaints == []


def test_an_alias_is_rolled_back_only_where_it_has_somewhere_to_go(
    page: "Page", serve: Callable[..., str], redis_url: str
) -> None:
    url = serve()
    page.goto(f"{url}/#/models/churn")
    page.wait_for_selector(".pointers")
    before = page.locator(".pointers button").count()

    page.focus("[data-held='Promote v2']")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".pointers .main b:text-is('v2')")

    assert before == 0
    assert page.get_by_role("button", name="Roll back production to v1").count() == 1
    assert held(page) == "Promote v2"  # the keyboard is where it was


def test_a_page_says_that_its_address_means_another_version_by_now(
    page: "Page", serve: Callable[..., str], redis_url: str
) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.fill("#rows", "customer:1")
    in_redis(redis_url, lambda store: store.promote("churn", 2))
    page.wait_for_selector(".news:has-text('production means v2 by now; this page shows v1')")

    page.click("text=Show v2")

    page.wait_for_selector("h1:has-text('v2')")
    assert page.input_value("#rows") == "customer:1"
    assert page.locator(".news").inner_text() == ""


def test_an_alias_that_is_none_is_refused_before_it_is_asked_for(
    page: "Page", serve: Callable[..., str]
) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.click("[data-held='Promote v2']")
    marks = []

    for alias in ("Bad Name", "a" * 65, "blue-green_2"):
        page.fill("dialog input", alias)
        marks.append(page.locator("dialog input:invalid").count())

    assert marks == [1, 1, 0]


def test_a_page_of_an_alias_asks_that_alias(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn/canary")
    page.wait_for_selector("#rows")

    assert page.input_value("select[name=version]") == "canary"


def test_every_digit_of_an_id_is_sent_and_shown(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.click("text=By instance")
    page.fill("#rows", '[{"id": 12345678901234567890}]')

    with page.expect_request("**/predict") as asked:
        page.click("text=Predict >> nth=-1")

    page.wait_for_selector(".repeat")
    assert asked.value.post_data == '{"instances":[{"id":12345678901234567890}]}'
    assert '"id":12345678901234567890' in page.inner_text(".repeat pre")


def test_whole_numbers_of_an_answer_are_shown_with_every_digit(
    page: "Page", serve: Callable[..., str]
) -> None:
    def answer(route: "Route") -> None:
        row = '{"value": 9007199254740993, "outputs": {"id": [9223372036854775807, 0.1, 1e300]}}'
        route.fulfill(
            body=f'{{"model": "churn", "version": 1, "predictions": [{row}]}}',
            content_type="application/json",
        )

    page.route("**/predict", answer)
    page.goto(f"{serve()}/#/models/churn")
    page.fill("#rows", "customer:1")
    page.click("text=Predict >> nth=-1")
    page.wait_for_selector(".verdict")

    assert page.inner_text(".verdict") == "9007199254740993"
    assert json.loads(page.inner_text(".rows pre")) == {"id": [2**63 - 1, 0.1, 1e300]}


def test_pages_say_that_the_server_is_away_and_go_on_when_it_is_back(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    url = serve()
    page.goto(f"{url}/#/jobs")
    page.wait_for_selector(".empty")
    page.route("**/v1/**", lambda route: route.abort())
    page.wait_for_selector(".card > div > .fault:has-text('does not answer')")
    page.evaluate("document.querySelector('.fault').dataset.old = true")
    page.goto(f"{url}/#/models/churn")
    page.wait_for_selector("text=Try again")

    page.unroute("**/v1/**")

    page.wait_for_selector("#rows")  # by itself: the header says that the server is ready
    assert complaints == []


def test_a_failed_action_is_told_with_one_button_and_keeps_what_was_typed(
    page: "Page", serve: Callable[..., str]
) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.fill("#rows", "customer:1")
    page.route("**/aliases/**", lambda route: route.abort())
    page.click("[data-held='Promote v2']")
    page.click("dialog >> text=Promote >> nth=-1")
    page.wait_for_selector("dialog .fault")

    buttons = page.locator("dialog button").all_inner_texts()
    page.keyboard.press("Escape")

    assert buttons == ["OK"]
    assert page.input_value("#rows") == "customer:1"


@pytest.mark.usefixtures("stored")
def test_a_server_that_hangs_is_asked_once_at_a_time_and_said_to_be_away(
    page: "Page", redis_url: str
) -> None:
    server = ServeCommand(redis_url).start()
    try:
        page.goto(server.url)
        page.wait_for_selector(".model")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))

        server.signal(signal.SIGSTOP)
        page.wait_for_selector("#server-state:has-text('Server away')")
        page.click(".model a >> nth=0")
        page.wait_for_selector("text=Waiting for the server")
        waited = len(asked)
        server.signal(signal.SIGCONT)
        page.wait_for_selector("#rows")
    finally:
        server.signal(signal.SIGCONT)
        server.stop()

    assert waited <= 6


def test_the_console_works_where_the_browser_keeps_nothing(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.add_init_script(NO_STORAGE)
    page.goto(serve())

    page.wait_for_selector(".model")
    page.wait_for_selector("#server-state.good")
    assert complaints == []


def test_a_token_that_no_header_takes_is_not_used(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(serve())
    page.click("#token-button")
    page.fill("dialog input", "“токен”")

    page.keyboard.press("Enter")
    refused = page.locator("dialog[open]").count()
    page.fill("dialog input", "  token ")
    page.keyboard.press("Enter")

    page.wait_for_selector("dialog:not([open])", state="attached")
    assert (refused, page.evaluate("sessionStorage.getItem('insitu-token')")) == (1, "token")


def test_the_signature_fits_a_phone(page: "Page", serve: Callable[..., str]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{serve()}/#/models/churn")
    page.wait_for_selector("table")

    hidden = page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.scroll'))"
    )

    assert hidden <= 0
    assert "the answer" in page.inner_text(".scroll")
