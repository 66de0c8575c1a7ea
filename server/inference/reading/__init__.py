"""Features out of Redis: one connection a node, everything asked in one loop tick in one write.

reader       what the core asks: one Redis, a master behind sentinels, or a cluster
link         one Redis kept reachable: connects, notices that it is away, finds it again
connection   one socket: batches out, replies back in order
places       where a Redis listens and what it is told first     sentinels   who the master is
cluster      keys to nodes      slots   the map      errands   one ask over several nodes
faults       what an error reply means
"""
