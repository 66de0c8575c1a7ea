"""Optimizers by name."""

from torch import nn, optim

from models.recipe_training import Training


def optimizer(network: nn.Module, training: Training) -> optim.Optimizer:
    """Return the recipe's optimizer; weight decay spares biases and normalisations.

    All of a step is one call into PyTorch (`fused`), on CPUs as on CUDA devices.
    """
    parameters = [one for one in network.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if training.optimizer == "adam":
        return optim.Adam(groups, training.lr, fused=True)
    if training.optimizer == "adamw":
        return optim.AdamW(groups, training.lr, fused=True)
    momentum = 0.0 if training.optimizer == "sgd" else training.momentum
    nesterov = training.optimizer == "nesterov"
    return optim.SGD(groups, training.lr, momentum=momentum, nesterov=nesterov, fused=True)
