"""Layers in a row, each built for the form that the one before it gives; misfits are told by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.layers.columns import ColumnEmbedding, Columns
from models.layers.dense import Dropout, Flatten, Reshape
from models.layers.layer import Layer
from models.layers.network import Residual
from models.layers.scaling import Clip, Fitted, Log1p, Quantile, Scale, Whiten
from trainer.errors import BadNetwork
from trainer.networks import (
    activations,
    adaptive,
    attention,
    convolutions,
    dense,
    fitted,
    pools,
    recurrent,
    scaling,
    whitening,
)
from trainer.networks.columns import columns
from trainer.networks.forms import Column, DoesNotFit, Entry, Form
from trainer.networks.residual import ResidualBlock
from trainer.networks.steps import Step

BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {
    **activations.BUILDERS,
    **adaptive.BUILDERS,
    **attention.BUILDERS,
    **convolutions.BUILDERS,
    **dense.BUILDERS,
    **fitted.BUILDERS,
    **pools.BUILDERS,
    **recurrent.BUILDERS,
    **scaling.BUILDERS,
    **whitening.BUILDERS,
}
KINDS = {1: "vector", 2: "sequence", 3: "image"}
FITTED = (Fitted, Quantile, Whiten, Columns)
UNLEARNED = (*FITTED, Scale, Log1p, Clip, Flatten, Reshape, Dropout)


@dataclass(frozen=True, slots=True)
class Where:
    """How errors call a row of layers: the branch, what comes after it and what before."""

    branch: str
    after: str
    before: str = "the input"

    def layer(self, layers: Sequence[Layer], number: int) -> str:
        """Return a layer's name, counted from 1; 0 is what comes before all, one past the end what after."""
        if number > len(layers):
            return self.after
        name = self.before if number == 0 else f"layer {number} ({layers[number - 1].layer})"
        return f"{self.branch}, {name}" if self.branch and number else name

    def inside(self, layers: Sequence[Layer], number: int) -> "Where":
        """Return how errors call the layers inside a block."""
        block = self.layer(layers, number)
        return Where(block, f"the end of {block}", f"the input of {block}")


def chained(
    layers: Sequence[Layer], form: Form, where: Where, named: Sequence[Column] = ()
) -> tuple[list[Step], Form]:
    """Build layers one after the other and return the form in which they end.

    `named` are the columns of the input, where these layers are the first that read it.

    Raises: BadNetwork, naming two layers and both shapes.
    """
    steps: list[Step] = []
    for number, layer in enumerate(layers, 1):
        try:
            if isinstance(layer, Residual):
                step, after = residual(layer, form, where.inside(layers, number))
            elif isinstance(layer, Columns):
                step, after = columns(layer, form, named if number == 1 else ())
            else:
                step, after = BUILDERS[type(layer)](layer, form)
        except DoesNotFit as misfit:
            raise mismatch(layers, number, form, misfit, where) from misfit
        steps.append(step)
        form = after
    return steps, form


def residual(spec: Residual, form: Form, where: Where) -> tuple[Step, Form]:
    """Build a residual block.

    Raises: BadNetwork, layers that do not fit or make of a sequence or image something else.
    """
    check_nothing_fitted(spec.layers, where)
    steps, after = chained(spec.layers, form, where)
    if after.rank != form.rank or after.free != form.free:
        raise DoesNotFit(
            f"layers that keep it a {KINDS[form.rank]}, its own end in {after}",
            "take out what changes that (flatten, a global or adaptive pool, output: last)",
        )
    return ResidualBlock(steps, form, after), after


def check_vector(layers: Sequence[Layer], form: Form, where: Where) -> None:
    """Refuse layers that do not end in a vector."""
    if form.rank == 1:
        return
    cure = "`flatten` or a global pool" if not form.free else "`gru` (output: last) or `global_avg_pool`"
    what = where.branch or "the network"
    misfit = DoesNotFit("(features)", f"end {what} with {cure}")
    raise mismatch(layers, len(layers) + 1, form, misfit, where)


def mismatch(
    layers: Sequence[Layer], number: int, form: Form, misfit: DoesNotFit, where: Where
) -> BadNetwork:
    """Return the error for layer `number` (from 1), which cannot take what the one before gives."""
    return BadNetwork(
        f"{where.layer(layers, number - 1)} gives {form}, {where.layer(layers, number)} takes "
        f"{misfit.takes}; {misfit.cure}",
        layer=number,
        gives=str(form),
        takes=misfit.takes,
    )


def check_form(entry: Entry, several: bool) -> None:
    """Refuse rows that are neither a vector nor a sequence nor an image."""
    form = entry.form
    if 1 <= form.rank <= 3 and (form.rank == 2 or not form.free):
        return
    raise BadNetwork(
        f"the input {f'{entry.name} ' if several else ''}gives {form}; a network takes (features), "
        "(steps, features) or (channels, height, width): "
        "give the input of the view another `shape`, or store each step as one row of numbers",
        gives=str(form),
    )


def check_fitted_come_first(layers: Sequence[Layer], where: Where) -> None:
    """Refuse a fitted scaling after a layer that learns: there would be nothing to fit it on yet."""
    learned = next((number for number, one in enumerate(layers, 1) if learns(one)), None)
    for number, layer in enumerate(layers, 1):
        if isinstance(layer, FITTED) and learned is not None and number > learned:
            raise BadNetwork(
                f"{where.layer(layers, number)} is fitted on the training rows before anything is learned, so "
                f"it cannot come after {where.layer(layers, learned)}; move it up, or use `batch_norm`",
                layer=number,
            )


def learns(layer: Layer) -> bool:
    """Whether a layer has numbers that are learned, or comes after such a one by rule."""
    if isinstance(layer, Columns):
        treatments = (*layer.fields.values(), layer.rest or ())
        return any(isinstance(one, ColumnEmbedding) for treatment in treatments for one in treatment)
    return not isinstance(layer, UNLEARNED)


def check_nothing_fitted(layers: Sequence[Layer], where: Where) -> None:
    """Refuse a fitted scaling inside a block or over what the branches end in."""
    for number, layer in enumerate(layers, 1):
        if isinstance(layer, FITTED):
            raise BadNetwork(
                f"{where.layer(layers, number)} is fitted on the training rows before anything is "
                "learned; put it at the beginning of a branch, or use `batch_norm`",
                layer=number,
            )
