"""Stage: what every case stands on. One Redis behind a unix socket, the features in it, the network, files."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.features import KINDS, Rows, bodies, view, written
from benchmarks.networks import mlp
from cli.embedded import EmbeddedRedis
from models.composing import Wording, compose_bundle
from models.connecting import connect
from models.features import FeatureView
from models.keys import Keys
from models.store import ModelStore


@dataclass(frozen=True, slots=True)
class Stored:
    """A network to publish: the name of the model, its graph, the kind of its features, their view if not the run's.

    Without a kind it reads none: the caller sends tensors.
    """

    name: str
    onnx: bytes
    kind: str = ""
    view: dict[str, Any] | None = None

    @property
    def wording(self) -> Wording:
        """What is said of the network beside its graph."""
        if not self.kind:
            return Wording()
        return Wording(features=FeatureView.read(self.view or view(self.kind)), task="regression")


@dataclass(frozen=True, slots=True)
class Stage:
    """The place of one run; everything in it is gone afterwards."""

    folder: Path
    redis: EmbeddedRedis
    model: Path
    rows: Rows

    @property
    def url(self) -> str:
        """The unix socket of Redis, the same for every contender."""
        return self.redis.url

    def log(self, name: str) -> Path:
        """Return the file for the output of a process."""
        return self.folder / f"{name.replace(' ', '-')}.log"

    def bodies(self, kind: str, rows_a_request: int = 1) -> Path:
        """Return a file of request bodies, one a line."""
        return self.lines(f"{kind}-{rows_a_request}", bodies(kind, rows_a_request))

    def lines(self, name: str, lines: Sequence[str]) -> Path:
        """Return a file of these lines."""
        path = self.folder / f"{name}.txt"
        if not path.exists():
            path.write_text("\n".join(lines) + "\n")
        return path

    def joined(self, name: str, bodies: Sequence[bytes]) -> Path:
        """Return a file of these bodies, all of one length, one after the other."""
        path = self.folder / f"{name}.bin"
        if not path.exists():
            path.write_bytes(b"".join(bodies))
        return path

    def publish(
        self, models: Sequence[Stored], prefix: str = "insitu", alias: str | None = "production"
    ) -> None:
        """Publish networks as next versions."""

        async def publish_all() -> None:
            client = connect(self.url)
            store = ModelStore(client, Keys(prefix))
            for one in models:
                await store.publish(compose_bundle(one.onnx, one.name, one.wording), alias)
            await client.aclose()

        asyncio.run(publish_all())

    def info(self, name: str) -> Any:
        """Return one field of what Redis says of itself."""
        with Redis.from_url(self.url) as client:
            return client.info().get(name)


@contextmanager
def staged() -> Iterator[Stage]:
    """Start Redis, write the features, publish the network as `vector` and `hash`; end and remove all of it."""
    with tempfile.TemporaryDirectory(prefix="insitu-bench-") as text:
        folder = Path(text)
        redis = EmbeddedRedis.start(folder / "redis")
        try:
            onnx = mlp()
            model = folder / "model.onnx"
            model.write_bytes(onnx)
            with Redis.from_url(redis.url) as client:
                client.config_set("auto-aof-rewrite-percentage", 0)  # a second of a core, whenever it pleases
                rows = written(client)
            stage = Stage(folder, redis, model, rows)
            stage.publish([Stored(kind, onnx, kind) for kind in KINDS])
            yield stage
        finally:
            redis.stop()
