"""The console beside a Redis Cluster of which one node is away: what is there, and what is not."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.away import node_of, url_of_all, with_names_and_without, without_full_coverage
from tests.e2e.conftest import PHONE, apart, published
from tests.integration.rest.graphs import churn
from tests.servers import RedisNodes

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = [f"m{at:02}" for at in range(99)]


def test_models_of_a_node_that_is_away_are_named_before_the_list(
    page: "Page", serve: Callable[..., str], redis_cluster: RedisNodes, complaints: list[str]
) -> None:
    _, gone = with_names_and_without(redis_cluster)
    away = [name for name in NAMES if node_of(redis_cluster, name) is gone][:12]
    others = [name for name in NAMES if node_of(redis_cluster, name) is not gone][:2]
    without_full_coverage(redis_cluster)
    url = url_of_all(redis_cluster)
    apart(published(url, *map(churn, (*away, *others))))
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a TypedDict
    page.goto(serve(INSITU_REDIS_URL=url))
    page.wait_for_selector("#redis-state.good")
    page.wait_for_selector(".model")
    whole = page.locator(".caution").count()
    high = page.locator(".top").bounding_box()

    gone.kill()
    page.wait_for_selector(".caution")
    page.wait_for_selector("#redis-state.part")

    told = page.inner_text(".caution")
    assert whole == 0
    assert page.inner_text("#redis-state") == "Redis in part"
    assert f"127.0.0.1:{gone.port}" in str(page.get_attribute("#redis-state", "title"))
    assert told == (
        f"Not listed, because their node of the Redis Cluster is away: {', '.join(away[:10])} and 2 more"
    )
    assert page.locator(".model h3").all_inner_texts() == others
    assert page.evaluate("document.querySelector('.caution').nextElementSibling.className") == "models"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.locator(".top").bounding_box() == high
    assert complaints == []
