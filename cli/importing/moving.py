"""Keys moved one after the other: read, checked, tried, written; what is wrong with one stops none of the others."""

import asyncio
from collections.abc import Callable, Sequence, Set
from typing import Any

from cli.importing.destination import Destination, Packed
from cli.importing.errors import AnswersDiffer, NotMixed, ValueGone, ValueUnreadable
from cli.importing.inventory import Found
from cli.importing.outcome import Outcome, Summary
from cli.importing.source import Source
from cli.importing.values import ONNX, RaiModel, RaiScript
from cli.importing.verifying import Verifier
from models.composing import Wording, compose_bundle
from models.errors import BadModelFile, ModelTooLarge
from models.model_pointers import name_of
from models.tensor_strings import StoredTensor
from models.tensor_strings import pack as packed

BATCH_BYTES = 8 << 20  # of tensors in one write
BATCH_KEYS = 500
WATCH_KEYS = 64

LEFT_OUT = {
    "TORCH": "a TorchScript model; export it to ONNX with torch.onnx.export and store it with AI.MODELSTORE",
    "TF": "a TensorFlow graph; convert it with tf2onnx and store it with AI.MODELSTORE",
    "TFLITE": "a TensorFlow Lite model; convert it with tf2onnx and store it with AI.MODELSTORE",
}
SCRIPT = (
    "a TorchScript script, which nothing here runs; put what it does around the model into the ONNX graph"
)
TAKEN = "another program wrote this key meanwhile, and it was left as it is; run the import again"


FAILURES = (ValueUnreadable, BadModelFile, ModelTooLarge, AnswersDiffer, NotMixed)
"""What is wrong with one key alone."""


class Mover:
    """Moves what a source has to a destination; `verifier` tries the models, and nothing is written in a dry run."""

    def __init__(self, source: Source, destination: Destination, verifier: Verifier, dry_run: bool) -> None:
        self._source = source
        self._destination = destination
        self._verifier = verifier
        self._dry_run = dry_run
        self._batch: list[Packed] = []
        self._batch_bytes = 0
        self.summary = Summary(dry_run)

    async def move(
        self, found: Sequence[Found], same: Set[Found], watch: Callable[[int, str], None]
    ) -> Summary:
        """Move keys but those that are there; `watch` is told now and then how many are done and which one is next.

        Raises: RedisUnavailable, RedisRefused; FileDamaged, EncodingUnknown, OSError.
        """
        for done, one in enumerate(found):
            if one.kind != "tensor" or done % WATCH_KEYS == 0:
                watch(done, one.name)
            if one in same:
                self.summary.add(Outcome.of(one, "same"))
                continue
            try:
                await self._one(one)
            except ValueGone as error:
                self.summary.add(Outcome.of(one, "left_out", str(error)))
            except FAILURES as error:
                self.summary.add(Outcome.of(one, "failed", str(error)))
        await self._flush()
        return self.summary

    async def _one(self, found: Found) -> None:
        """Move one key.

        Raises: one of FAILURES, and as `move`.
        """
        value = await self._source.read(found)
        if isinstance(value, StoredTensor):
            await self._tensor(found, value)
        elif isinstance(value, RaiScript):
            self.summary.add(Outcome.of(found, "left_out", SCRIPT))
        elif value.backend != ONNX:
            why = LEFT_OUT.get(value.backend, f"a model of the backend {value.backend}, which is not served")
            self.summary.add(Outcome.of(found, "left_out", why))
        else:
            await self._model(found, value)

    async def _tensor(self, found: Found, tensor: StoredTensor) -> None:
        if self._batch and self._batch[0].found.db != found.db:
            await self._flush()
        self._batch.append(Packed(found, packed(tensor)))
        self._batch_bytes += len(tensor.data)
        if len(self._batch) >= BATCH_KEYS or self._batch_bytes >= BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        """Write the tensors that were read."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        taken = [] if self._dry_run else await self._destination.put(batch)
        for one in batch:
            if one.found in taken:
                self.summary.add(Outcome.of(one.found, "failed", TAKEN))
            else:
                self.summary.add(Outcome.of(one.found, "imported", size_bytes=len(one.value)))

    async def _model(self, found: Found, model: RaiModel) -> None:
        """Check a model, try it, store it and let its key point to it."""
        await self._destination.earlier(found)
        name, wording = name_of(found.key), Wording(execution=model.execution)
        bundle = await asyncio.to_thread(compose_bundle, model.file, name, wording)
        verified = await self._verifier.verify(found, bundle)
        facts: dict[str, Any] = {"model": name, "size_bytes": len(model.file), "verified": verified}
        if self._dry_run:
            self.summary.add(Outcome.of(found, "imported", **facts))
            return
        manifest = await self._destination.publish(found, bundle)
        if manifest is None:
            self.summary.add(Outcome.of(found, "failed", TAKEN))
        else:
            self.summary.add(Outcome.of(found, "imported", version=manifest.version, **facts))
