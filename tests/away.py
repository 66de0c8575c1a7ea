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
