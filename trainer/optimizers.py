"""Optimizers and learning-rate schedules by name."""

from math import cos, pi

from torch import nn, optim

from models.recipe_training import Training


def optimizer(network: nn.Module, training: Training) -> optim.Optimizer:
    """Return the recipe's optimizer; weight decay spares biases and normalisations."""
    parameters = [one for one in network.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if training.optimizer == "adam":
        return optim.Adam(groups, training.lr)
    if training.optimizer == "adamw":
        return optim.AdamW(groups, training.lr)
    momentum = training.momentum if training.optimizer == "momentum" else 0.0
    return optim.SGD(groups, training.lr, momentum=momentum)


def learning_rate(training: Training, epoch: int) -> float:
    """Return the learning rate of one epoch, counted from 1."""
    if training.schedule == "cosine":
        return training.lr * (1 + cos(pi * (epoch - 1) / training.epochs)) / 2
    if training.schedule == "step":
        return training.lr * training.step.factor ** ((epoch - 1) // training.step.every)
    return training.lr
