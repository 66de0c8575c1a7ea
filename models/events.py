"""Events: what changed in the store, told to servers that are here and to those that are away."""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

from models.errors import RedisRefused, RedisUnavailable
from models.redis_failures import connected

log = logging.getLogger(__name__)

LOAD, UNLOAD = "load", "unload"

EVENTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One change: publish, promote, rollback, unalias and traffic (version 0), or delete (no alias).

    Or what servers are asked to do with a model: load or unload it (version 0, no alias), `by` the process
    that has done so already.
    """

    event: str
    model: str
    version: int
    alias: str
    by: str = ""


async def announce(redis: Any, key: str, event: Event) -> None:  # Redis or RedisCluster
    """Append an event to the stream `key`, capped, and publish it on the channel of that name.

    The stream is in order; through the nodes of a cluster the channel need not be. The change is
    made by now: when nobody can be told, it stands, and the log says so. Servers look at
    everything now and then.
    """
    facts = {name: fact for name, fact in asdict(event).items() if name != "by" or fact}
    try:
        async with connected(redis):
            await redis.xadd(key, facts, maxlen=EVENTS_KEPT, approximate=True)
            await redis.publish(key, json.dumps(facts))
    except (RedisRefused, RedisUnavailable) as error:
        told = (event.event, event.model, event.version, error)
        log.warning("%s of %s v%d is done, but no server was told: %s", *told)
