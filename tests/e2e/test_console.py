"""The console and the documentation in a real browser, over a real server and a real Redis."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.e2e.conftest import HOSTILE, OWNER, PHONE, READER, apart, published
from tests.integration.rest.graphs import churn, price
from tests.servers import RedisServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize


def ask(page: "Page", rows: str) -> None:
    page.fill("#rows", rows)
    page.click("text=Predict >> nth=-1")
    page.wait_for_selector(".repeat")


def test_the_first_page_lists_models_and_the_state_of_redis(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.goto(serve())

    page.wait_for_selector(".model")
    assert page.locator(".model h3").all_inner_texts() == ["churn", "price"]
    page.wait_for_selector("#redis-state.good")
    assert page.inner_text("#redis-state") == "Redis up"
    assert "production" in page.inner_text(".model >> nth=0")
    assert complaints == []


def test_a_hundred_models_more_are_shown_at_a_time(
    page: "Page", serve: Callable[..., str], redis_url: str, complaints: list[str]
) -> None:
    url = serve()
    apart(many_stored(redis_url, 130))
    page.goto(url)
    page.wait_for_selector(".model >> nth=99")
    assert page.locator(".model").count() == 100

    page.click("text=Show 100 more")

    page.wait_for_selector(".model >> nth=131")
    assert page.evaluate("document.activeElement.innerText").startswith("many-100")
    page.evaluate("document.querySelector('.model').dataset.old = true")
    page.wait_for_selector(".model[data-old]", state="detached")  # it is read again, all of it
    assert page.locator(".model").count() == 132
    assert page.locator("text=more").count() == 0
    assert complaints == []


@pytest.mark.parametrize(
    ("path", "heading"), [("", "Models of this server"), ("#/jobs", "Jobs of this server")]
)
def test_every_page_has_one_heading_for_who_hears_it(
    page: "Page", serve: Callable[..., str], complaints: list[str], path: str, heading: str
) -> None:
    page.goto(serve() + "/" + path)

    page.wait_for_selector("h1", state="attached")
    assert page.get_by_role("heading", level=1).all_inner_texts() == [heading]
    assert complaints == []


async def many_stored(redis_url: str, count: int) -> None:
    """Publish models whose names come between those of the others."""
    async with Redis.from_url(redis_url) as redis:
        models = ModelStore(redis)
        for number in range(count):
            await models.publish(price(f"many-{number + 1:03}"))


def test_a_key_is_predicted_and_drawn_with_the_command_that_repeats_it(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    url = serve()
    page.goto(f"{url}/#/models/churn")

    ask(page, "customer:1")

    assert page.inner_text(".verdict") == "stays"
    assert page.locator(".bar-value").all_inner_texts() == ["97.1 %", "2.9 %"]
    command = page.inner_text(".repeat pre")
    assert f"{url}/v1/models/churn/predict" in command
    assert json.dumps({"keys": ["customer:1"]}, separators=(",", ":")) in command
    assert complaints == []


def test_the_keyboard_keeps_its_place_while_lists_are_read_again(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.goto(serve())
    page.focus(".model a >> nth=1")

    page.evaluate("document.activeElement.dataset.old = true")
    page.wait_for_selector(".model a[data-old]", state="detached")

    assert page.evaluate("document.activeElement.getAttribute('href')") == "#/models/price"
    assert complaints == []


def test_another_page_begins_at_its_top_and_takes_the_keyboard_along(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.set_viewport_size({"width": 390, "height": 300})
    page.goto(serve())
    page.wait_for_selector(".model")
    page.focus(".model a >> nth=0")
    page.evaluate("scrollTo(0, 1e6)")

    page.keyboard.press("Enter")
    page.wait_for_selector("#rows")

    page.wait_for_function("document.activeElement.id === 'main' && scrollY === 0")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.crumbs') !== null")
    assert complaints == []


def test_the_link_to_the_content_stays_on_the_page(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.wait_for_selector("#rows")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith("/#/models/churn")
    assert page.locator("#rows").count() == 1


def test_the_arrows_go_through_the_ways_to_say_rows(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.wait_for_selector("[role=tab]")
    tabs = page.get_by_role("tablist", name="How rows are given").get_by_role("tab")

    def there() -> tuple[str, list[str | None], str]:
        order = [tab.get_attribute("tabindex") for tab in tabs.all()]
        return page.evaluate("document.activeElement.textContent"), order, page.input_value("#rows")

    page.fill("#rows", "customer:1")
    page.focus("[role=tab][aria-selected=true]")
    met = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "End", "Home"):
        page.keyboard.press(key)
        met.append(there())
        assert page.get_by_role("tab", selected=True).inner_text() == met[-1][0]
        assert page.get_by_role("tabpanel", name=met[-1][0], exact=True).locator("#rows").count() == 1
    page.keyboard.press("Tab")

    by_tensor = ("By tensor", ["-1", "-1", "0"], '{"x":[[0,0]]}')
    by_key, by_instance = (
        ("By key", ["0", "-1", "-1"], "customer:1"),
        ("By instance", ["-1", "0", "-1"], '[{"id":""}]'),
    )
    assert met == [by_tensor, by_key, by_instance, by_tensor, by_key]
    assert page.evaluate("document.activeElement.id") == "rows"
    assert complaints == []


def test_a_metric_is_called_what_people_call_it(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.wait_for_selector(".numbers")

    assert page.locator(".numbers span").all_inner_texts() == ["Accuracy", "ROC AUC"]


def test_each_finding_of_a_card_is_said_once(page: "Page", serve: Callable[..., str], redis_url: str) -> None:
    says, change = "the groups differ by 0.18", "compare the groups"
    signs = [{"sign": "unequal groups", "says": says, "change": change}]
    card = {"diagnosis": {"verdict": "good", "findings": [f"{says}: {change}"], "signs": signs}}
    url = serve()
    apart(published(redis_url, churn("judged", card=card)))

    page.goto(f"{url}/#/models/judged")
    page.wait_for_selector(".report")

    assert page.inner_text(".report").count(says) == 1


def test_a_prediction_is_explained_by_signed_bars(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    url = serve()
    page.goto(f"{url}/#/models/churn")
    ask(page, "customer:1")

    page.click("text=Why?")
    page.wait_for_selector(".signed li")

    names = page.locator(".signed .bar-label").all_inner_texts()
    assert [name.split()[0] for name in names] == ["age", "spend"]
    assert page.locator(".signed .more").count() == page.locator(".signed .less").count() == 1
    numbers = [float(text) for text in page.locator(".signed .bar-value").all_inner_texts()]
    assert sum(numbers) == pytest.approx(0.971 - 0.5, abs=2e-3)
    assert "stays 97.1 % instead of 50.0 %" in page.inner_text(".why")
    assert "Compared with zeros. Every combination was run." in page.inner_text(".why")
    page.select_option(".why select", "leaves")
    page.wait_for_selector(".why:has-text('leaves 2.9 %')")
    page.click(".why summary")
    assert f"{url}/v1/models/churn/explain" in page.inner_text(".why pre")
    assert complaints == []


def test_each_row_is_explained_for_itself(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/price")
    page.wait_for_selector("#rows")
    ask(page, '[{"id": "1", "month": 6}, {"id": "1", "month": 9}]')

    page.locator(".why button").nth(1).click()
    page.wait_for_selector(".signed li")

    assert "y 349 instead of 0" in page.inner_text(".why >> nth=1")
    assert "9, reference 0" in page.inner_text(".signed")


def test_the_card_of_a_version_opens_and_runs_no_script(
    page: "Page", serve: Callable[..., str], redis_url: str
) -> None:
    url = serve()
    apart(with_card(redis_url))
    page.goto(f"{url}/#/models/churn")
    page.wait_for_selector(".curves")

    with page.context.expect_page() as opened:
        page.click("text=Open the card")
    card = opened.value
    card.wait_for_selector("h1")

    assert card.inner_text("h1") == "churn, whole"
    assert card.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
    assert card.title() == "card"


async def with_card(redis_url: str) -> None:
    page = f"<!doctype html><title>card</title><style>h1{{color:rgb(1,2,3)}}</style><h1>churn, whole</h1>{HOSTILE}"
    async with Redis.from_url(redis_url) as redis:
        await ModelStore(redis).publish(replace(churn(), page=page.encode()))


def test_a_row_that_fails_shows_its_error_beside_the_others(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")

    ask(page, "customer:1\ncustomer:99\ncustomer:3")

    assert page.locator(".answer .fault strong").all_inner_texts() == ["key_missing", "field_missing"]
    assert "customer:99" in page.inner_text(".answer .fault >> nth=0")
    assert page.locator(".verdict").count() == 1


def test_a_single_key_that_is_not_there_shows_the_error_of_the_server(
    page: "Page", serve: Callable[..., str]
) -> None:
    page.goto(f"{serve()}/#/models/churn")

    ask(page, "customer:99")

    assert page.inner_text(".answer .fault strong") == "key_missing"
    assert "is not in Redis" in page.inner_text(".answer .fault")


def test_a_value_that_stood_in_is_named(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.fill("[name=missing]", "20")

    ask(page, "customer:3")

    assert "Filled in, because absent: spend" in page.inner_text(".rows")


def test_a_view_with_values_of_the_request_offers_instances_first(
    page: "Page", serve: Callable[..., str]
) -> None:
    page.goto(f"{serve()}/#/models/price")
    page.wait_for_selector("#rows")
    skeleton = page.input_value("#rows")

    ask(page, '[{"id": "1", "month": 6}]')

    assert json.loads(skeleton) == [{"id": "", "month": 0}]
    assert page.inner_text(".verdict") == "346"


def test_what_a_model_says_of_itself_is_shown_as_text(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.goto(f"{serve()}/#/models/churn/2")

    page.wait_for_selector(".title")

    assert HOSTILE in page.inner_text(".title")
    assert page.locator("main script, main img").count() == 0
    assert page.title() == "churn · Insitu"
    assert complaints == []


def test_the_feature_view_signature_and_card_are_drawn(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")
    page.wait_for_selector(".curves")

    assert page.inner_text(".source .template") == "customer:{id}"
    assert page.locator(".source .fields li").all_inner_texts() == ["age", "spend"]
    assert page.locator(".confusion td").all_inner_texts() == ["80", "7", "9", "82"]
    assert page.locator("polyline.curve").count() == 2
    assert page.locator(".interval").all_inner_texts() == ["Accuracy\n0.86 to 0.95", "Log loss\n0.21 to 0.34"]


def test_a_version_is_promoted_and_rolled_back_by_buttons(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}/#/models/churn")
    pointer = page.locator(".pointers li", has_text="production").locator("b")

    page.click(".versions li:has-text('v2') >> text=Promote")
    page.click("dialog >> text=Promote >> nth=-1")
    page.wait_for_selector(".pointers .main b:text-is('v2')")
    promoted = pointer.inner_text()
    page.click(".pointers li:has-text('production') >> text=Roll back")
    page.click("dialog button.primary")
    page.wait_for_selector(".pointers .main b:text-is('v1')")

    assert (promoted, pointer.inner_text()) == ("v2", "v1")


def test_shares_of_traffic_and_the_shadow_stand_beside_the_versions(
    page: "Page", serve: Callable[..., str], redis_url: str
) -> None:
    url = serve()
    apart(share(redis_url))
    page.goto(f"{url}/#/models/churn")

    page.wait_for_selector(".versions li")

    first, second = (page.locator(".versions li").nth(place).inner_text() for place in (1, 0))
    assert "95 % of traffic" in first
    assert "5 % of traffic" in second
    assert "shadow" in second
    page.locator(".versions li").first.get_by_text("Promote").click()
    assert "ends the traffic rule" in page.locator("dialog").inner_text()


async def share(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        models = ModelStore(redis)
        await models.set_traffic("churn", {1: 95, 2: 5})
        await models.promote("churn", 2, "shadow")


def test_a_server_with_tokens_asks_for_one_and_for_a_larger_one(
    page: "Page", serve: Callable[..., str]
) -> None:
    digests = [
        f"{scope}:{sha256(token.encode()).hexdigest()}"
        for scope, token in (("predict", READER), ("admin", OWNER))
    ]
    page.goto(f"{serve(INSITU_TOKENS=','.join(digests))}/#/models/churn")
    page.click("text=Give a token")
    page.fill("dialog input", READER)
    page.click("dialog >> text=Use")
    page.wait_for_selector(".versions")

    page.click(".versions li:has-text('v2') >> text=Promote")
    page.click("dialog >> text=Promote >> nth=-1")
    page.wait_for_selector("dialog input[type=password]")
    refused = page.inner_text("dialog .fault")
    page.fill("dialog input", OWNER)
    page.click("dialog >> text=Use")
    page.wait_for_selector(".pointers .main b:text-is('v2')")

    assert "needs a token of scope admin" in refused
    ask(page, "customer:1")
    assert "$INSITU_TOKEN" in page.inner_text(".repeat pre")
    assert OWNER not in page.content()


def test_the_header_says_when_redis_is_away_and_back(
    page: "Page", serve: Callable[..., str], redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    page.goto(serve(INSITU_REDIS_URL=server.url))
    page.wait_for_selector("#redis-state.good")

    server.kill()
    page.wait_for_selector("#redis-state.bad")
    away = page.inner_text("#redis-state")
    server.start()
    page.wait_for_selector("#redis-state.good")

    assert away == "Redis away"


def test_rates_come_from_the_metrics(page: "Page", serve: Callable[..., str]) -> None:
    url = serve()
    page.goto(f"{url}/#/models/churn")
    ask(page, "customer:1")

    page.goto(f"{url}/#/")

    page.wait_for_selector(".tile:has-text('Latency') strong:text-matches('[0-9] (ms|µs)')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(browser: "Browser", serve: Callable[..., str], scheme: str) -> None:
    url = serve()
    context = browser.new_context(viewport=PHONE, color_scheme="dark" if scheme == "dark" else "light")  # type: ignore[arg-type]  # a TypedDict
    page = context.new_page()
    widths = []

    for place, landmark in (("/", ".model"), ("/#/models/churn", ".curves")):
        page.goto(url + place)
        page.wait_for_selector(landmark)
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()

    assert widths == [PHONE["width"]] * 2
    dark = sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 128
    assert dark is (scheme == "dark")


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 900}], ids=["phone", "desk"])
def test_the_longest_names_fit_the_screen(
    browser: "Browser", redis_url: str, serve: Callable[..., str], viewport: "ViewportSize"
) -> None:
    url, name, widths = serve(), "w" * 128, []
    apart(long_names(redis_url, name))
    page = browser.new_context(viewport=viewport).new_page()

    for place, landmark in (("/", f".model >> text={name}"), (f"/#/models/{name}", ".pointers")):
        page.goto(url + place)
        page.wait_for_selector(landmark)
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.context.close()

    assert widths == [viewport["width"]] * 2


async def long_names(redis_url: str, name: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await ModelStore(redis).publish(churn(name, description="d" * 300), alias="a" * 64)


def test_an_address_that_was_cut_shows_the_models(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    page.goto(f"{serve()}/#/models/%E0%A4%A")

    page.wait_for_selector(".model")
    page.wait_for_selector("#server-state.good")
    assert complaints == []


def test_what_is_good_is_read_on_its_own_ground(page: "Page", serve: Callable[..., str]) -> None:
    page.goto(serve())
    page.wait_for_selector("#server-state.good")

    ink, ground = page.evaluate(
        "(({ color, backgroundColor }) => [color, backgroundColor])"
        "(getComputedStyle(document.querySelector('#server-state')))"
    )

    light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(...)`, as WCAG 2 reckons it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_documentation_is_drawn_without_any_other_host(
    page: "Page", serve: Callable[..., str], complaints: list[str]
) -> None:
    url = serve()
    paths = page.request.get(f"{url}/openapi.json").json()["paths"]
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.partition("//")[2].partition("/")[0]))

    page.goto(f"{url}/docs")

    page.wait_for_selector(".opblock")
    assert page.locator(".opblock").count() == sum(map(len, paths.values())) > 50
    page.click("#operations-predict-predict .opblock-summary-control")
    page.wait_for_selector("#operations-predict-predict .opblock-body")
    assert hosts == {url.partition("//")[2]}
    assert complaints == []
