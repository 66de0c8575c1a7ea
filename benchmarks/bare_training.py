"""Training as one writes it by hand in PyTorch: three networks of its own modules, and a loop."""

from collections.abc import Callable
from copy import deepcopy
from math import inf

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.recipe_training import Training
from trainer.fitting.rows import Rows
from trainer.networks.fitted import channel_values
from trainer.networks.network import Network


class Mlp(nn.Module):
    """As the recipe breast_cancer."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, train: Rows) -> None:
        super().__init__()
        x = train.inputs["x"][0]
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("deviation", x.std(0))
        self.layers = nn.Sequential(nn.Linear(30, 32), nn.Tanh(), nn.Dropout(0.5), nn.Linear(32, 2))

    def forward(self, x: Tensor, _lengths: Tensor | None) -> Tensor:
        """Shape: (B, 30) -> (B, 2)."""
        result: Tensor = self.layers(((x - self.mean) / self.deviation).clamp(-3, 3))
        return result


class Cnn(nn.Module):
    """As the recipe digits."""

    def __init__(self, _train: Rows) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(512, 64),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(64, 10),
        )

    def forward(self, x: Tensor, _lengths: Tensor | None) -> Tensor:
        """Shape: (B, 8, 8) -> (B, 10)."""
        result: Tensor = self.layers(x[:, None] / 16)
        return result


class Gru(nn.Module):
    """As the recipe japanese_vowels; rows of different lengths are packed."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, train: Rows) -> None:
        super().__init__()
        real = channel_values(*train.inputs["x"])
        self.register_buffer("mean", real.mean(0))
        self.register_buffer("deviation", real.std(0))
        self.before, self.after = nn.Dropout(0.2), nn.Dropout(0.5)
        self.gru = nn.GRU(12, 48, batch_first=True, bidirectional=True)
        self.head = nn.Linear(96, 9)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Shape: (B, T, 12) -> (B, 9)."""
        x = self.before((x - self.mean) / self.deviation)
        packed, _ = self.gru(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        every, _ = pad_packed_sequence(packed, batch_first=True, padding_value=-inf)
        result: Tensor = self.head(self.after(every.amax(1)))
        return result


MODULES: dict[str, Callable[[Rows], nn.Module]] = {
    "breast_cancer": Mlp,
    "digits": Cnn,
    "japanese_vowels": Gru,
}


class BareLoop:
    """Epochs by hand: index a batch, forward, backward, step; validate; keep the best weights."""

    def __init__(self, network: nn.Module, training: Training, train: Rows, validation: Rows | None) -> None:
        self.network, self.training = network, training
        self.train, self.validation = train, validation
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(
            network.parameters(), training.lr, weight_decay=training.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, training.epochs)
        self.best, self.weights = inf, network.state_dict()

    def epoch(self, _number: int) -> float:
        """Learn from every row once and return the mean loss."""
        self.network.train()
        total = 0.0
        for rows in torch.split(torch.randperm(len(self.train)), self.training.batch):
            loss: Tensor = self.loss(self.ask(self.train, rows), self.train.targets[rows])
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            if self.training.clip is not None:
                clip_grad_norm_(self.network.parameters(), self.training.clip)
            self.optimizer.step()
            total += loss.item() * len(rows)
        self.schedule.step()
        if self.validation is not None:
            self.validate(self.validation)
        return total / len(self.train)

    @torch.no_grad()
    def validate(self, validation: Rows) -> float:
        """Measure loss and accuracy, and keep the weights if they are the best."""
        self.network.eval()
        raw = self.ask(validation, torch.arange(len(validation)))
        loss = self.loss(raw, validation.targets).item()
        if loss < self.best:
            self.best, self.weights = loss, deepcopy(self.network.state_dict())
        return (raw.argmax(-1) == validation.targets).float().mean().item()

    def ask(self, rows: Rows, which: Tensor) -> Tensor:
        """Run the network on some rows; of sequences no more steps than the longest has."""
        ((name, (x, lengths)),) = rows.inputs.items()
        longest = x.shape[1] if lengths is None else int(lengths[which].max())
        batch = (x[which], None) if lengths is None else (x[which, :longest], lengths[which])
        ours = isinstance(self.network, Network)
        result: Tensor = self.network({name: batch}) if ours else self.network(*batch)
        return result
