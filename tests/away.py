"""Nodes of a Redis Cluster that tests take away."""

from redis.crc import key_slot

from tests.servers import CLUSTER_NODES, CLUSTER_SLOTS, RedisNodes, RedisServer


def without_full_coverage(cluster: RedisNodes) -> None:
    """Have the cluster go on while a node is away."""
    for node in cluster.nodes:
        with node.connect() as client:
            client.config_set("cluster-require-full-coverage", "no")


def node_of(cluster: RedisNodes, name: str) -> RedisServer:
    """Return the node that has a key, or the keys of a model."""
    return cluster.nodes[key_slot(name.encode()) * CLUSTER_NODES // CLUSTER_SLOTS]


def with_names_and_without(cluster: RedisNodes) -> tuple[RedisServer, RedisServer]:
    """Return the node that has the names of the models, and another."""
    names = node_of(cluster, "insitu:models")
    return names, next(node for node in cluster.nodes if node is not names)


def url_of_all(cluster: RedisNodes) -> str:
    """Return a URL that names every node, so that any may be away."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
