"""Keys that match: every key of Redis, or of all nodes of a cluster, that has the pattern and the type."""

from collections.abc import AsyncIterator

from models.assembly import Plan
from models.errors import BadRequest
from models.scanning import GENTLE_COUNT, Search, scan
from models.store import Client
from server.batch.parts import BETWEEN, Part, Step
from server.batch.sources.gathering import gathered

NOT_TOLD = (
    "this Redis does not tell which process it is, so a walk over its keys could not notice a restart and "
    "would miss keys in silence; permit INFO, and on a cluster CLUSTER NODES too: "
    "ACL SETUSER NAME +info +cluster|nodes"
)


class MatchingKeys:
    """SCAN, with the type of what the model reads first."""

    strict = False

    def __init__(self, redis: Client, plan: Plan, pattern: str | None, gentle: bool = False) -> None:
        """Take the pattern; the whole of the view's first template when it is None. `gentle` asks for little at once.

        Raises: BadFeatureView, the view reads no key.
        """
        self._redis = redis
        _ = plan.template  # raises where the view reads no key
        self._search = Search(plan.view.keyed[0], pattern)
        self._count = GENTLE_COUNT if gentle else None

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find keys from a position on; anew when Redis was restarted or slots of a cluster moved.

        Raises: BadRequest, Redis does not tell what it takes to notice that; RedisUnavailable, also
                while slots move; RedisRefused.
        """
        return gathered(self._found(position), position, once=True)

    async def _found(self, position: str) -> AsyncIterator[Step]:
        async for found in scan(self._redis, self._search.pattern, self._search.type, position, self._count):
            if not found.position:
                raise BadRequest(NOT_TOLD)
            # A key with a NUL in it is somebody else's: no template reads one.
            keys = [key for key in self._search.names(found.keys) if BETWEEN not in key]
            yield Step(Part(keys), found.position, found.share, found.anew)
