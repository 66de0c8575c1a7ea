"""What the process that commands are forked from has imported: what any of them would import itself.

Nothing runs here that would start a thread: a forked process has none of them.
"""

from contextlib import suppress
from importlib import import_module

MODULES = ("cli.program", "server.app")
TRAINING = (
    "trainer.run",
    "trainer.contest.contest",
    "trainer.datasets.catalogue",
    "trainer.drafting.draft",
    "cli.training_view",
    "torch._dynamo",
    "torch.onnx._internal.exporter._core",
    "optuna",
)

for name in MODULES:
    import_module(name)

with suppress(ModuleNotFoundError):  # the extra `trainer` may be absent
    for name in TRAINING:
        import_module(name)

    from tests.exporter import keep_operators
    from trainer.exporting.exporters import OPSET, exporter_is_quiet

    keep_operators(setattr)
    with exporter_is_quiet():
        import_module("torch.onnx._internal.exporter._registration").ONNXRegistry.from_torchlib(
            opset_version=OPSET
        )
