"""A slot on its way from one node of a cluster to another."""

from typing import Any

from tests.servers import RedisNodes


class Move:
    """The slot of a key handed over to the next node."""

    def __init__(self, cluster: RedisNodes, key: bytes) -> None:
        self.cluster = cluster
        self.slot = self.ask(0, "CLUSTER", "KEYSLOT", key)
        holders = [at for at in range(3) if self.ask(at, "CLUSTER", "COUNTKEYSINSLOT", self.slot)]
        self.source, self.target = holders[0], (holders[0] + 1) % 3
        self.names = [self.ask(at, "CLUSTER", "MYID") for at in range(3)]

    def ask(self, at: int, *command: Any) -> Any:
        with self.cluster.nodes[at].connect() as node:
            return node.execute_command(*command)

    def begin(self) -> None:
        self.ask(self.target, "CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.names[self.source])
        self.ask(self.source, "CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.names[self.target])
        keys = self.ask(self.source, "CLUSTER", "GETKEYSINSLOT", self.slot, 1000)
        port = self.cluster.nodes[self.target].port
        self.ask(self.source, "MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)

    def end(self) -> None:
        for at in (self.target, self.source, 3 - self.target - self.source):
            self.ask(at, "CLUSTER", "SETSLOT", self.slot, "NODE", self.names[self.target])
