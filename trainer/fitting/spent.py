"""Spent: what a private training cost; knows nothing of how it is private."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """What a training cost in privacy, and how."""

    epsilon: float
    delta: float
    clip: float
    noise: float
    steps: int
