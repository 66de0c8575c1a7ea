"""Spent: what a private training cost; knows nothing of how it is private."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Spent:
    """What a training cost in privacy, and how."""

    epsilon: float
    delta: float
    clip: float
    noise: float
    steps: int

    def after(self, epsilon: float, delta: float) -> "Spent":
        """Return what was spent in all, where a training before it spent so much on the same rows.

        Source: Dwork and Roth 2014, The Algorithmic Foundations of Differential Privacy, theorem 3.16.
        """
        return replace(self, epsilon=self.epsilon + epsilon, delta=self.delta + delta)
