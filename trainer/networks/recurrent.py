"""Recurrent layers over sequences whose rows may differ in length.

The forward direction never reaches the padding before the step that is read. The backward
direction reads each row turned round within its own length, so both are exact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.layer import Layer
from models.layers.sequences import LastStep, Recurrent
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Flow, Step


@dataclass(frozen=True, slots=True)
class Kind:
    """How PyTorch's module becomes one ONNX operator: its gates' order there, and what sets it.

    Source: onnx.ai/onnx/operators, RNN, GRU and LSTM; torch.nn.GRU and torch.nn.LSTM, "weight_ih_l".
    """

    module: Callable[..., nn.RNNBase]
    operator: str
    gates: tuple[int, ...]
    attributes: Mapping[str, int | Sequence[str]]


KINDS = {
    "rnn": Kind(nn.RNN, "RNN", (0,), {"activations": ("Tanh",)}),
    "gru": Kind(nn.GRU, "GRU", (1, 0, 2), {"linear_before_reset": 1}),  # r z n -> z r h
    "lstm": Kind(nn.LSTM, "LSTM", (0, 3, 1, 2), {}),  # i f g o -> i o f c
}


class Cell(nn.Module):
    """One recurrent layer that becomes one ONNX operator.

    PyTorch's exporter unrolls `nn.RNN` into the steps of its example, so no other length would run,
    and traces `nn.GRU` and `nn.LSTM` through a loop, which takes seconds. `freeze` comes before an
    export: it lays the weights out as the operator takes them.
    """

    def __init__(self, kind: Kind, width: int, hidden: int) -> None:
        super().__init__()
        self.module = kind.module(width, hidden, batch_first=True)
        self.kind, self.hidden = kind, hidden
        self.as_operator = True

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, T, F) -> (B, T, hidden)."""
        if not (self.as_operator and torch.onnx.is_in_onnx_export()):
            every: Tensor = self.module(x)[0]
            return every
        steps = x.transpose(0, 1)
        result = torch.onnx.ops.symbolic(
            self.kind.operator,
            (steps, self.get_buffer("w"), self.get_buffer("r"), self.get_buffer("b")),
            {"hidden_size": self.hidden, **self.kind.attributes},
            dtype=x.dtype,
            shape=(steps.shape[0], 1, steps.shape[1], self.hidden),  # (T, directions, B, hidden)
        )
        return result.squeeze(1).transpose(0, 1)

    @torch.no_grad()
    def laid_out(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return W, R and B as the operator takes them, the one direction first."""
        of_input, of_state, input_bias, state_bias = (
            torch.cat([torch.chunk(one, len(self.kind.gates))[gate] for gate in self.kind.gates])
            for one in self.module.all_weights[0]
        )
        return of_input[None], of_state[None], torch.cat([input_bias, state_bias])[None]

    @torch.no_grad()
    def take(self, w: Tensor, r: Tensor, b: Tensor) -> None:
        """Take over W, R and B of an operator."""
        gates = len(self.kind.gates)
        own = (w[0], r[0], *torch.chunk(b[0], 2))
        for mine, given in zip(self.module.all_weights[0], own, strict=True):
            parts = torch.chunk(given, gates)
            mine.copy_(torch.cat([parts[self.kind.gates.index(gate)] for gate in range(gates)]))

    def freeze(self) -> None:
        """Keep W, R and B for an export."""
        for name, value in zip(("w", "r", "b"), self.laid_out(), strict=True):
            self.register_buffer(name, value, persistent=False)


class Direction(nn.Module):
    """One layer in one direction."""

    def __init__(self, kind: str, width: int, hidden: int, backward: bool) -> None:
        super().__init__()
        self.cell = Cell(KINDS[kind], width, hidden)
        self.backward_in_time = backward

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Shape: (B, T, F) -> (B, T, hidden); what stands in the padding is of no use."""
        if not self.backward_in_time:
            result: Tensor = self.cell(x)
            return result
        return turned(self.cell(turned(x, lengths)), lengths)


class RecurrentStack(Step):
    """Layers of one or two directions; gives every step, or what is known at the end."""

    def __init__(self, spec: Recurrent, width: int) -> None:
        super().__init__()
        directions = (False, True) if spec.bidirectional else (False,)
        widths = [width] + [spec.hidden * len(directions)] * (spec.layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(Direction(spec.layer, width, spec.hidden, backward) for backward in directions)
            for width in widths
        )
        self.dropout = spec.dropout
        self.last = spec.output == "last"

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, hidden * directions), or (B, T, hidden * directions)."""
        parts: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            if number:
                x = functional.dropout(x, self.dropout, self.training)
            parts = [direction(x, lengths) for direction in cast(nn.ModuleList, layer)]
            x = torch.cat(parts, -1)
        if not self.last:
            return x, lengths
        ends = [last_step(parts[0], lengths), *(part[:, 0] for part in parts[1:])]
        return torch.cat(ends, -1), None


def turned(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return each row last step first, within its own length: (B, T, F)."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    source = (lengths[:, None] - 1 - steps[None, :]).clamp(min=0)  # (B, T)
    return x.gather(1, source[:, :, None].expand(-1, -1, x.shape[2]))


def last_step(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return each row's own last step: (B, T, F) -> (B, F)."""
    if lengths is None:
        return x[:, -1]
    at = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, x.shape[2])
    return x.gather(1, at).squeeze(1)


def recurrent(spec: Recurrent, form: Form) -> tuple[Step, Form]:
    """Build a recurrent layer."""
    if form.rank != 2:
        raise DoesNotFit("(steps, features)", "`reshape: [steps, features]` makes one of fixed length")
    width = spec.hidden * (2 if spec.bidirectional else 1)
    after = Form((width,)) if spec.output == "last" else form.with_channels(width)
    return RecurrentStack(spec, form.channels), after


class End(Step):
    """The last step of each row."""

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, F)."""
        return last_step(x, lengths), None


def end(_spec: LastStep, form: Form) -> tuple[Step, Form]:
    """Build the last step."""
    if form.rank != 2:
        raise DoesNotFit("(steps, features)", "take it out")
    return End(), Form((form.channels,))


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Recurrent: recurrent, LastStep: end}
