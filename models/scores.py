"""Scores as they are kept and told: as far as they mean anything, however small the values are that they are of."""


def six_digits(value: float) -> float:
    """Return a score as it is kept: an error of 1e-7 is no 0 where the values are as small."""
    return round(value, 6) if abs(value) >= 1 else float(f"{value:.6g}")


def four_digits(value: float) -> str:
    """Return a score with four digits, of a very small one the first that are not 0."""
    return f"{value:.4f}" if abs(value) >= 0.001 or not value else f"{value:.4g}"
