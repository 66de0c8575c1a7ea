"""Network: a recipe's layers in order and a head that fits the task.

Every shape follows from the layer before; layers that do not fit are refused by name before any
data is read.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.layers.dense import Dropout, Flatten, Reshape
from models.layers.layer import Layer
from models.layers.scaling import Clip, Fitted, Log1p, Scale
from trainer.errors import BadNetwork
from trainer.networks import activations, convolutions, dense, pools, recurrent, scaling
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.scaling import FittedScale
from trainer.networks.steps import Flow, Step

BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {
    **activations.BUILDERS,
    **convolutions.BUILDERS,
    **dense.BUILDERS,
    **pools.BUILDERS,
    **recurrent.BUILDERS,
    **scaling.BUILDERS,
}
UNLEARNED = (Fitted, Scale, Log1p, Clip, Flatten, Reshape, Dropout)
PARAMETER_LIMIT = 1 << 28  # 1 GiB of float32; an ONNX file can hold twice that


class Network(nn.Module):
    """Layers and head.

    Shape: x (B, *form), lengths (B,) int64 where steps are free -> (B, outputs).
    """

    def __init__(self, steps: Sequence[Step], head: nn.Linear, form: Form) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.head = head
        self.form = form

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the head's raw numbers; the task makes an answer of them."""
        x, _ = self._run(x, lengths, len(self.steps))
        result: Tensor = self.head(x)
        return result

    def _run(self, x: Tensor, lengths: Tensor | None, count: int) -> Flow:
        x = x.float()
        for step in self.steps[:count]:
            x, lengths = step(x, lengths)
        return x, lengths

    @torch.no_grad()
    def fit_scaling(self, x: Tensor, lengths: Tensor | None) -> None:
        """Measure every fitted layer on the training rows, each after the layers before it."""
        self.eval()
        for count, step in enumerate(self.steps):
            if isinstance(step, FittedScale):
                step.fit(*self._run(x, lengths, count))


def build(layers: Sequence[Layer], form: Form, outputs: int) -> Network:
    """Build a network for rows of one form with `outputs` numbers at its end.

    Raises: BadNetwork, naming the layers and shapes that do not fit, or too many parameters.
    """
    check(layers, form, outputs)
    return assemble(layers, form, outputs)


def check(layers: Sequence[Layer], form: Form, outputs: int) -> int:
    """Put a network together without memory for its numbers, and return how many it would have.

    Raises: BadNetwork, as `build` would.
    """
    with torch.device("meta"):
        parameters = sum(one.numel() for one in assemble(layers, form, outputs).parameters())
    if parameters > PARAMETER_LIMIT:
        raise BadNetwork(
            f"the network has {parameters:,} parameters, over {PARAMETER_LIMIT:,}; "
            "put a pool before `flatten` or take smaller layers",
            parameters=parameters,
        )
    return parameters


def assemble(layers: Sequence[Layer], form: Form, outputs: int) -> Network:
    """Put the layers together, each built for the form that the one before it gives."""
    check_form(form)
    check_fitted_come_first(layers)
    steps: list[Step] = []
    now = form
    for number, layer in enumerate(layers, 1):
        try:
            step, after = BUILDERS[type(layer)](layer, now)
        except DoesNotFit as misfit:
            raise mismatch(layers, number, now, misfit) from misfit
        steps.append(step)
        now = after
    if now.rank != 1:
        cure = "`flatten` or a global pool" if not now.free else "`gru` (output: last) or `global_avg_pool`"
        raise mismatch(layers, len(layers) + 1, now, DoesNotFit("(features)", f"end the network with {cure}"))
    return Network(steps, nn.Linear(now.channels, outputs), form)


def mismatch(layers: Sequence[Layer], number: int, form: Form, misfit: DoesNotFit) -> BadNetwork:
    """Return the error for layer `number` (from 1), which cannot take what the one before gives."""
    before = named(layers, number - 1)
    this = named(layers, number)
    return BadNetwork(
        f"{before} gives {form}, {this} takes {misfit.takes}; {misfit.cure}",
        layer=number,
        gives=str(form),
        takes=misfit.takes,
    )


def named(layers: Sequence[Layer], number: int) -> str:
    """Return a layer as an error names it; 0 is the input, one past the end the head."""
    if number == 0:
        return "the input"
    return f"layer {number} ({layers[number - 1].layer})" if number <= len(layers) else "the head"


def check_form(form: Form) -> None:
    """Refuse rows that are neither a vector nor a sequence nor an image."""
    if 1 <= form.rank <= 3 and (form.rank == 2 or not form.free):
        return
    raise BadNetwork(
        f"the input gives {form}; a network takes (features), (steps, features) or (channels, height, width): "
        "give the input of the view another `shape`, or store each step as one row of numbers",
        gives=str(form),
    )


def check_fitted_come_first(layers: Sequence[Layer]) -> None:
    """Refuse a fitted scaling after a layer that learns: there would be nothing to fit it on yet."""
    learned = next((number for number, one in enumerate(layers, 1) if not isinstance(one, UNLEARNED)), None)
    for number, layer in enumerate(layers, 1):
        if isinstance(layer, Fitted) and learned is not None and number > learned:
            raise BadNetwork(
                f"{named(layers, number)} is fitted on the training rows before anything is learned, so it "
                f"cannot come after {named(layers, learned)}; move it up, or use `batch_norm`",
                layer=number,
            )
