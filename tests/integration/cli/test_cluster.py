"""The same commands against a Redis Cluster."""

from collections.abc import Callable

from tests.integration.cli.conftest import Result
from tests.servers import RedisNodes

Insitu = Callable[..., Result]


def test_models_are_published_listed_and_checked_in_a_cluster(
    insitu: Insitu, redis_cluster: RedisNodes, churn: tuple[str, str]
) -> None:
    place = redis_cluster.url.replace("redis://", "redis+cluster://")
    model, view = churn

    published = insitu(
        "publish",
        model,
        "-n",
        "churn",
        "--features",
        view,
        "--labels",
        "stays,leaves",
        INSITU_REDIS_URL=place,
    )
    listed = insitu("models", "--json", INSITU_REDIS_URL=place)
    checked = insitu("check", INSITU_REDIS_URL=place)

    assert published.code == 0, published.err
    assert [one["name"] for one in listed.json] == ["churn"]
    assert "churn version 1 (production) is whole, and runs" in checked.out


def test_a_user_who_may_not_ask_for_the_slots_is_told_the_right(
    insitu: Insitu, redis_cluster: RedisNodes
) -> None:
    for node in redis_cluster.nodes:
        with node.connect() as client:
            client.execute_command(
                "ACL", "SETUSER", "reads", "on", ">pw", "~*", "-@all", "+@read", "+@connection"
            )
    place = redis_cluster.url.replace("redis://", "redis+cluster://reads:pw@")

    lacking = insitu("models", "--redis-url", place)
    wrong = insitu("models", "--redis-url", place.replace(":pw@", ":no@"))
    for node in redis_cluster.nodes:
        with node.connect() as client:
            client.execute_command("ACL", "SETUSER", "reads", "+cluster|slots")
    allowed = insitu("models", "--redis-url", place)
    for node in redis_cluster.nodes:
        with node.connect() as client:
            client.execute_command("ACL", "DELUSER", "reads")

    assert "permissions to run the 'cluster" in lacking.err
    assert "`Rights` in docs/redis-keys.md" in lacking.err
    assert "put the right user and password" in wrong.err
    assert allowed.code == 0
