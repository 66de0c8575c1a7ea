"""The master as sentinels name it to a client of redis-py; one of them that says nothing holds nobody up."""

from contextlib import suppress
from typing import Any

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from models.cluster_client import SILENT, first_to_answer


class SentinelsOfAny(Sentinel):
    """The sentinels, asked beside one another.

    redis-py asks them one after the other, each until it is given up; those who wait for it have given up by then.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the master, as the first sentinel says that knows it well.

        Raises: MasterNotFoundError, none does; ResponseError, one of them is no sentinel.
        """
        named: dict[Any, tuple[str, int]] = {}
        faults: list[str] = []

        async def ask(sentinel: Any) -> None:
            try:
                masters = await sentinel.sentinel_masters()
            except SILENT as error:
                faults.append(f"{sentinel} - {error!r}")
                raise
            state = masters.get(service_name)
            if not state or not self.check_master_state(state, service_name):
                raise MasterNotFoundError(service_name)
            named[sentinel] = state["ip"], state["port"]

        with suppress(*SILENT):  # what sentinels refuse is not what the master does, and no cause of that
            first = await first_to_answer(self.sentinels, ask)
            self.sentinels.remove(first)
            self.sentinels.insert(0, first)
            return named[first]
        told = f" : {', '.join(faults)}" if faults else ""  # as redis-py says it
        raise MasterNotFoundError(f"No master found for {service_name!r}{told}")


class MasterPool(SentinelConnectionPool):
    """Connections to the master; closing them closes those to the sentinels too."""

    async def aclose(self) -> None:
        """Close every connection."""
        await super().aclose()
        await self.sentinel_manager.aclose()
