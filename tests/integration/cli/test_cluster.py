"""The same commands against a Redis Cluster."""

import asyncio
from collections.abc import Callable

from redis.cluster import RedisCluster

from models.connecting import connect
from models.store import ModelStore
from tests.away import node_of, url_of_all, with_names_and_without, without_full_coverage
from tests.integration.cli.conftest import Result
from tests.integration.rest.graphs import price
from tests.servers import RedisNodes, free_port

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


def test_rows_are_scored_where_the_first_node_of_the_url_is_away(
    insitu: Insitu, redis_cluster: RedisNodes, churn: tuple[str, str]
) -> None:
    model, view = churn
    place = redis_cluster.url.replace("redis://", f"redis+cluster://127.0.0.1:{free_port()},")
    with RedisCluster.from_url(redis_cluster.url) as client:
        client.hset("customer:1", mapping={"age": 41, "spend": 12.5})

    published = insitu("publish", model, "-n", "churn", "--features", view, INSITU_REDIS_URL=place)
    scored = insitu("score", "churn", "--match", "customer:*", "--json", INSITU_REDIS_URL=place)

    assert published.code == 0, published.err
    assert scored.json["scored"] == 1, scored.err


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


def test_the_models_of_the_other_nodes_are_listed_and_checked_while_one_is_away(
    insitu: Insitu, redis_cluster: RedisNodes
) -> None:
    without_full_coverage(redis_cluster)
    place = url_of_all(redis_cluster)
    hint, gone = with_names_and_without(redis_cluster)
    names = [f"m{at:02}" for at in range(40)]
    away = [name for name in names if node_of(redis_cluster, name) is gone][:2]
    there = next(name for name in names if node_of(redis_cluster, name) is not gone)

    async def publish() -> None:
        client = connect(place)
        for name in (*away, there):
            await ModelStore(client).publish(price(name=name))
        await ModelStore(client).delete(there, 1, with_aliases=True)
        await ModelStore(client).publish(price(name=there))
        await client.aclose()

    asyncio.run(publish())
    whole = insitu("models", "--json", INSITU_REDIS_URL=place)
    gone.kill()
    listed = insitu("models", "--json", INSITU_REDIS_URL=place)
    shown = insitu("models", INSITU_REDIS_URL=place)
    checked = insitu("check", INSITU_REDIS_URL=place)
    hint.kill()
    unknown = insitu("models", INSITU_REDIS_URL=place)

    assert not any("away" in one for one in whole.json)
    assert {one["name"]: one["versions"] for one in listed.json} == {away[0]: [], away[1]: [], there: [2]}
    assert sorted(one["name"] for one in listed.json if "away" in one) == away
    assert shown.code == 0
    assert "Redis does not answer: " in next(line for line in shown.out.splitlines() if away[0] in line)
    assert f"{there} version 2 (production) is whole" in checked.out
    assert f"not looked at: {away[0]}, {away[1]}; Redis does not answer: " in checked.out
    assert checked.code == 1
    assert "Redis does not answer" in unknown.error
