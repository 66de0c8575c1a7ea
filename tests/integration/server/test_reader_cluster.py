"""A cluster is read node by node: keys by slot, moved slots followed, a node that is away costs its own keys."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from models.encoding import encoded
from models.errors import RedisRefused, RedisUnavailable
from server.inference.errors import Overloaded
from server.inference.reading import cluster as clustering
from server.inference.reading import link as linking
from server.inference.reading.reader import Reader
from server.inference.reading.slots import slot_of
from tests.away import without_full_coverage
from tests.integration.server.asks import Tally, answers, command, repeated
from tests.integration.server.conftest import MakeReader, until
from tests.servers import RedisNodes, RedisServer, cluster_node, free_port, start_cluster, wait_until

KEYS = 60
ASKS = [command(number) for number in range(KEYS)]
VALUES = [b"%d" % number for number in range(KEYS)]


def cluster_url(nodes: RedisNodes, node: int = 0) -> str:
    return nodes.nodes[node].tcp_url.replace("redis://", "redis+cluster://")


def owner(nodes: RedisNodes, number: int) -> RedisServer:
    """The node that a cluster just started keeps a key on."""
    return nodes.nodes[slot_of(command(number)) * 3 // 16384]


def fill(nodes: RedisNodes) -> None:
    for number in range(KEYS):
        with owner(nodes, number).connect() as client:
            client.hset(f"k:{number}", "x", number)


def identity(node: RedisServer) -> str:
    with node.connect() as client:
        return client.execute_command("CLUSTER", "MYID").decode()


@pytest.fixture(scope="module")
def steady(redis_binary: Path) -> Iterator[RedisNodes]:
    """Three nodes with data, left as they are found."""
    nodes = start_cluster(redis_binary)
    try:
        fill(nodes)
        yield nodes
    finally:
        nodes.close()


@pytest.fixture
def nodes(redis_cluster: RedisNodes) -> RedisNodes:
    """Three nodes with data, for a test to break."""
    fill(redis_cluster)
    return redis_cluster


def keep_serving(nodes: RedisNodes) -> None:
    """Let the others answer when a node is down."""
    without_full_coverage(nodes)
    for node in nodes.nodes:
        with node.connect() as client:
            client.config_set("cluster-node-timeout", 1000)


async def test_replies_of_every_node_come_in_the_order_of_the_commands(
    reader: MakeReader, steady: RedisNodes
) -> None:
    one = reader(cluster_url(steady), 5.0)

    first = await answers(one, *ASKS)
    then = await asyncio.gather(*(answers(one, *ASKS[::-1]) for _ in range(20)))

    assert first == VALUES
    assert then == [VALUES[::-1]] * 20


async def test_each_command_goes_to_its_node_once_the_map_is_known(
    reader: MakeReader, steady: RedisNodes
) -> None:
    trips: list[int] = []
    one = reader(cluster_url(steady, 2), observe=lambda commands, _seconds: trips.append(commands))
    one.start()
    await answers(one, command(1))
    await asyncio.sleep(6 * clustering.LOOK_SECONDS)
    trips.clear()
    tally = Tally(one)

    for number in range(KEYS):
        tally.ask(command(number))

    assert await tally.all() == [[value] for value in VALUES]
    assert (len(trips), sum(trips)) == (3, KEYS)


async def test_a_tag_in_a_key_says_its_slot(reader: MakeReader, steady: RedisNodes) -> None:
    one = reader(cluster_url(steady))
    with owner(steady, 7).connect() as client:
        client.set("feature:{k:7}:a", "with k:7")

    assert await answers(one, encoded(("GET", "feature:{k:7}:a"))) == [b"with k:7"]


async def test_nothing_to_read_is_answered_with_nothing(reader: MakeReader, steady: RedisNodes) -> None:
    tally = Tally(reader(cluster_url(steady)))

    tally.ask()

    assert await tally.all() == [[]]


async def test_a_command_that_a_node_refuses_is_its_own_reply(reader: MakeReader, steady: RedisNodes) -> None:
    replies = await answers(reader(cluster_url(steady)), command(1), encoded(("GET", "k:2")), command(3))

    assert [replies[0], replies[2]] == [b"1", b"3"]
    assert isinstance(replies[1], ResponseError)
    assert str(replies[1]).startswith("WRONGTYPE")


async def test_a_user_who_may_not_read_everywhere_reads_the_rest(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    for node in nodes.nodes:
        with node.connect() as client:
            keys = "~k:1" if node is owner(nodes, 1) else "~*"
            client.execute_command("ACL", "SETUSER", "reads", "on", ">secret", keys, "+@all")
    one = reader(cluster_url(nodes).replace("://", "://reads:secret@"))

    replies = await answers(one, *ASKS)

    refused = [number for number, reply in enumerate(replies) if isinstance(reply, ResponseError)]
    assert refused == [
        number for number in range(KEYS) if number != 1 and owner(nodes, number) is owner(nodes, 1)
    ]
    assert all("o permissions to access" in str(replies[number]) for number in refused)
    assert await answers(one, command(1)) == [b"1"]

    for node in nodes.nodes:
        with node.connect() as client:
            client.execute_command("ACL", "SETUSER", "reads", "-hget")
    with pytest.raises(RedisRefused, match=r"[Nn]o permissions to run"):
        await answers(one, *ASKS)
    assert one.reason is None


async def test_too_much_that_waits_is_refused_whole(
    reader: MakeReader, nodes: RedisNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = reader(cluster_url(nodes), 5.0)
    await answers(one, *ASKS)
    await asyncio.sleep(2 * clustering.LOOK_SECONDS)
    monkeypatch.setattr(linking, "WAITING_COMMANDS", 10)
    busy = owner(nodes, 1)
    busy.pause()
    tally = Tally(one)
    tally.ask(*[command(1)] * 9)
    await asyncio.sleep(0.02)

    with pytest.raises(Overloaded):
        await answers(one, command(1), command(1))
    tally.ask(
        *[ask for number, ask in enumerate(ASKS) if owner(nodes, number) is not busy][:9], *[command(1)] * 2
    )
    busy.resume()
    results = await tally.all()

    assert results[0] == [b"1"] * 9
    assert isinstance(results[1], Overloaded)


# Slots on their way from one node to another.


class Migration:
    """The slot of one key, moved step by step."""

    def __init__(self, nodes: RedisNodes, number: int) -> None:
        self.slot = slot_of(command(number))
        self.source = owner(nodes, number)
        self.target = next(node for node in nodes.nodes if node is not self.source)

    def begin(self) -> None:
        with self.target.connect() as client:
            client.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", identity(self.source))
        with self.source.connect() as client:
            client.execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", identity(self.target))

    def move(self, key: str) -> None:
        with self.source.connect() as client:
            client.execute_command("MIGRATE", "127.0.0.1", self.target.port, key, 0, 5000)

    def end(self) -> None:
        for node in (self.target, self.source):
            assign(node, self.slot, self.target)


def assign(node: RedisServer, slot: int, owner: RedisServer) -> None:
    """Tell one node whose a slot is."""
    with node.connect() as client:
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", identity(owner))


def of_one_epoch(nodes: RedisNodes) -> bool:
    """Whether every node knows of every change; one that does not would claim a slot in vain."""
    told: set[str] = set()
    for node in nodes.nodes:
        with node.connect() as client:
            lines = client.execute_command("CLUSTER", "INFO").decode().splitlines()
        told.update(line for line in lines if line.startswith("cluster_current_epoch"))
    return len(told) == 1


async def test_a_key_on_its_way_is_found_at_either_end(reader: MakeReader, nodes: RedisNodes) -> None:
    one = reader(cluster_url(nodes))
    await answers(one, *ASKS)
    migration = Migration(nodes, 7)

    migration.begin()
    before = await answers(one, *ASKS)
    migration.move("k:7")
    between = await answers(one, *ASKS)
    migration.end()
    after = await answers(one, *ASKS)

    assert before == between == after == VALUES
    assert one.reason is None


async def test_slots_that_move_under_load_cost_nobody_a_reply(reader: MakeReader, nodes: RedisNodes) -> None:
    one = reader(cluster_url(nodes), 5.0)
    await answers(one, *ASKS)
    tally = Tally(one)

    def migrate() -> None:
        for number in range(0, KEYS, 3):
            migration = Migration(nodes, number)
            migration.begin()
            migration.move(f"k:{number}")
            migration.end()
            wait_until(partial(of_one_epoch, nodes), "the nodes do not agree")

    moving = asyncio.create_task(asyncio.to_thread(migrate))
    while not moving.done():
        tally.ask(*ASKS)
        await asyncio.sleep(0.005)
    await moving

    assert await tally.all() == [VALUES] * tally.asked
    assert tally.asked > 10


async def test_nodes_that_send_one_another_what_is_asked_are_given_a_moment_to_agree(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    one = reader(cluster_url(nodes))
    await answers(one, *ASKS)
    migration = Migration(nodes, 7)
    migration.begin()
    migration.move("k:7")
    assign(migration.source, migration.slot, migration.target)  # which is not told yet, and names the source
    tally = Tally(one)

    tally.ask(*ASKS)
    await asyncio.sleep(3 * clustering.TRY_AGAIN_SECONDS)
    waiting = dict(tally.told)
    assign(migration.target, migration.slot, migration.target)

    assert waiting == {}
    assert await tally.all() == [VALUES]


async def test_keys_that_are_apart_for_a_moment_are_asked_for_again(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    one = reader(cluster_url(nodes))
    with owner(nodes, 7).connect() as client:
        client.mset({"{k:7}:a": "A", "{k:7}:b": "B"})
    both = encoded(("MGET", "{k:7}:a", "{k:7}:b"))
    migration = Migration(nodes, 7)
    migration.begin()
    migration.move("{k:7}:a")
    tally = Tally(one)

    tally.ask(both)
    await asyncio.sleep(3 * clustering.TRY_AGAIN_SECONDS)
    waiting = dict(tally.told)
    migration.move("{k:7}:b")

    assert waiting == {}
    assert await tally.all() == [[[b"A", b"B"]]]


async def test_keys_that_stay_apart_are_told_as_unavailable(reader: MakeReader, nodes: RedisNodes) -> None:
    one = reader(cluster_url(nodes))
    with owner(nodes, 7).connect() as client:
        client.mset({"{k:7}:a": "A", "{k:7}:b": "B"})
    both = encoded(("MGET", "{k:7}:a", "{k:7}:b"))
    migration = Migration(nodes, 7)
    migration.begin()
    migration.move("{k:7}:a")

    with pytest.raises(RedisUnavailable, match="TRYAGAIN"):
        await answers(one, both)

    assert one.reason is None


async def test_closing_tells_whoever_waits_for_keys_that_are_apart(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    one = reader(cluster_url(nodes))
    with owner(nodes, 7).connect() as client:
        client.mset({"{k:7}:a": "A", "{k:7}:b": "B"})
    migration = Migration(nodes, 7)
    migration.begin()
    migration.move("{k:7}:a")
    tally = Tally(one)
    tally.ask(encoded(("MGET", "{k:7}:a", "{k:7}:b")), command(1))
    await asyncio.sleep(2 * clustering.TRY_AGAIN_SECONDS)

    await one.close()

    (told,) = await tally.all()
    assert isinstance(told, list)
    assert isinstance(told[0], RedisUnavailable)
    assert told[1] == b"1"


async def test_any_node_of_the_url_tells_the_map(reader: MakeReader, steady: RedisNodes) -> None:
    places = ",".join(f"127.0.0.1:{port}" for port in (free_port(), free_port(), steady.nodes[1].port))
    one = reader(f"redis+cluster://{places}", 5.0)

    assert await answers(one, *ASKS) == VALUES


async def test_where_no_node_of_the_url_answers_what_waits_for_the_map_is_told(reader: MakeReader) -> None:
    first = free_port()
    one = reader(f"redis+cluster://127.0.0.1:{first},127.0.0.1:{free_port()}", 5.0)

    with pytest.raises(RedisUnavailable, match=f"{first}"):
        await answers(one, *ASKS)


async def test_what_waits_for_the_map_is_told_of_the_end(reader: MakeReader, steady: RedisNodes) -> None:
    one = reader(cluster_url(steady), 5.0)
    tally = Tally(one)
    tally.ask(*ASKS)

    await one.close()

    assert isinstance((await tally.all())[0], RedisUnavailable)


async def test_no_more_waits_for_the_map_than_there_is_room(
    reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "WAITING_READS", 1)
    one = reader(f"redis+cluster://127.0.0.1:{free_port()}", 5.0)
    one.ask(ASKS, lambda _: None)

    with pytest.raises(Overloaded):
        one.ask(ASKS, lambda _: None)


# Nodes that go.


async def test_a_node_that_is_down_costs_its_own_keys_until_it_is_back(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    keep_serving(nodes)
    one = reader(cluster_url(nodes), 0.5)
    await answers(one, *ASKS)
    down = owner(nodes, 1)
    its = [owner(nodes, number) is down for number in range(KEYS)]

    down.kill()
    replies = await answers(one, *ASKS)
    with pytest.raises(RedisUnavailable):
        await answers(one, command(1))
    reason = one.reason
    down.start()
    await until_answered(one)

    assert [isinstance(reply, RedisUnavailable) for reply in replies] == its
    assert [reply for reply, away in zip(replies, its, strict=True) if not away] == [
        value for value, away in zip(VALUES, its, strict=True) if not away
    ]
    assert reason is None


async def until_answered(reader: Reader) -> None:
    """Ask until every key is answered."""
    await repeated(
        lambda: answers(reader, *ASKS),
        lambda replies: (
            isinstance(replies, list) and not any(isinstance(reply, Exception) for reply in replies)
        ),
    )


async def test_a_node_that_hangs_costs_its_own_keys(reader: MakeReader, nodes: RedisNodes) -> None:
    keep_serving(nodes)
    one = reader(cluster_url(nodes), 0.3)
    await answers(one, *ASKS)
    down = owner(nodes, 1)

    down.pause()
    replies = await answers(one, *ASKS)
    down.resume()
    await until_answered(one)

    assert [isinstance(reply, RedisUnavailable) for reply in replies] == [
        owner(nodes, number) is down for number in range(KEYS)
    ]


async def test_a_cluster_that_wants_all_its_nodes_says_that_it_is_down(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    for node in nodes.nodes:
        with node.connect() as client:
            client.config_set("cluster-node-timeout", 500)
    one = reader(cluster_url(nodes), 0.5)
    await answers(one, *ASKS)
    other = next(number for number in range(KEYS) if owner(nodes, number) is not owner(nodes, 1))

    owner(nodes, 1).kill()
    fault = await repeated(
        lambda: answers(one, command(other)), lambda outcome: isinstance(outcome, RedisUnavailable)
    )

    assert "CLUSTERDOWN" in str(fault)
    owner(nodes, 1).start()
    await until_answered(one)


async def test_a_replica_that_is_promoted_takes_over_the_keys(
    reader: MakeReader, nodes: RedisNodes, redis_binary: Path
) -> None:
    keep_serving(nodes)
    one = reader(cluster_url(nodes), 0.5)
    await answers(one, *ASKS)
    down = owner(nodes, 1)
    replica = cluster_node(redis_binary)
    try:
        replica.start()
        replicate(replica, down)

        down.kill()
        await until_answered(one)

        assert await answers(one, *ASKS) == VALUES
        assert one.reason is None
    finally:
        replica.close()


def replicate(replica: RedisServer, primary: RedisServer) -> None:
    """Make a node the replica of another, with its data."""
    bus = primary.arguments[primary.arguments.index("--cluster-port") + 1]
    with replica.connect() as client:
        client.config_set("cluster-node-timeout", 1000)
        client.config_set("repl-diskless-sync-delay", 0)
        client.execute_command("CLUSTER", "MEET", "127.0.0.1", primary.port, bus)
        wait_until(partial(tried, client, identity(primary)), "the replica was not taken")
        wait_until(lambda: client.info("replication").get("master_link_status") == "up", "no data came")
        client.execute_command("CLUSTER", "NODES")
    with primary.connect() as client:
        wait_until(lambda: b"slave" in client.execute_command("CLUSTER", "NODES"), "the replica is not known")


def tried(client: Redis, primary: str) -> bool:
    try:
        return bool(client.execute_command("CLUSTER", "REPLICATE", primary))
    except RedisError:
        return False


async def test_a_cluster_that_is_away_is_told_at_once_and_found_again(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    one = reader(cluster_url(nodes), 0.5)
    await answers(one, *ASKS)

    for node in nodes.nodes:
        node.kill()
    await until(lambda: one.reason is not None)
    with pytest.raises(RedisUnavailable):
        one.ask(ASKS, print)
    for node in nodes.nodes:
        node.start()
    await until_answered(one)

    assert one.reason is None


async def test_no_caller_is_lost_when_nodes_are_killed_under_load(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    keep_serving(nodes)
    one = reader(cluster_url(nodes), 0.5)
    await answers(one, *ASKS)
    tally = Tally(one)

    def break_nodes() -> None:
        for node in nodes.nodes:
            node.kill()
            node.start()

    breaking = asyncio.create_task(asyncio.to_thread(break_nodes))
    while not breaking.done():
        for number in range(0, KEYS, 3):
            tally.ask(*ASKS[number : number + 3])
        await asyncio.sleep(0.002)
    await breaking
    results = await tally.all()

    assert len(results) == tally.asked > 100
    assert {type(result) for result in results} <= {list, RedisUnavailable}


async def test_a_node_that_hands_its_slots_over_is_left(reader: MakeReader, nodes: RedisNodes) -> None:
    one = reader(cluster_url(nodes))
    await answers(one, *ASKS)
    leaving, staying = nodes.nodes[2], nodes.nodes[0]
    tally = Tally(one)

    for number in range(KEYS):
        if owner(nodes, number) is leaving:
            migration = Migration(nodes, number)
            migration.target = staying
            migration.begin()
            migration.move(f"k:{number}")
            migration.end()
    for node in nodes.nodes[:2]:
        with node.connect() as client:
            give_away(client, range(16384 * 2 // 3, 16384), identity(staying))
    tally.ask(*ASKS)
    await asyncio.sleep(3 * clustering.LOOK_SECONDS)
    tally.ask(*ASKS)

    assert await tally.all() == [VALUES] * 2


def give_away(client: Redis, slots: range, node: str) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for slot in slots:
            pipeline.execute_command("CLUSTER", "SETSLOT", slot, "NODE", node)
        pipeline.execute()


async def test_a_node_that_hangs_is_passed_over_when_the_map_is_asked_for(
    reader: MakeReader, nodes: RedisNodes
) -> None:
    keep_serving(nodes)
    one = reader(cluster_url(nodes), 0.3)
    await answers(one, *ASKS)
    await asyncio.sleep(3 * clustering.LOOK_SECONDS)
    hanging, down = owner(nodes, 1), next(node for node in nodes.nodes if node is not owner(nodes, 1))

    hanging.pause()
    down.kill()
    await asyncio.sleep(1.5)
    down.start()
    hanging.resume()
    await until_answered(one)

    assert one.reason is None


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_node_without_slots_is_told(reader: MakeReader, redis_binary: Path, scheme: str) -> None:
    node = cluster_node(redis_binary)
    try:
        one = reader(node.start().tcp_url.replace("redis", scheme))

        with pytest.raises(RedisUnavailable, match="CLUSTERDOWN"):
            await answers(one, command(1))
        await asyncio.sleep(clustering.LOOK_SECONDS)

        assert one.reason is None
    finally:
        node.close()


@pytest.mark.parametrize("asked", [True, False])
async def test_a_reader_that_is_closed_takes_no_more(
    reader: MakeReader, steady: RedisNodes, asked: bool
) -> None:
    one = reader(cluster_url(steady))
    if asked:
        await answers(one, *ASKS)

    await one.close()
    await one.close()

    with pytest.raises(RedisUnavailable, match="shutting down"):
        one.ask(ASKS, print)
    assert one.reason is None


async def test_a_redis_that_is_no_cluster_is_read_as_one_node(
    reader: MakeReader, redis_server: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = redis_server(port=free_port())
    with server.connect() as client:
        client.hset("k:1", "x", 1)
    one = reader(server.tcp_url.replace("redis://", "redis+cluster://"))

    assert await answers(one, command(1)) == [b"1"]
    await until(lambda: "the map of the Redis Cluster cannot be read" in caplog.text)
