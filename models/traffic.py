"""Traffic: a model's rule which version answers which key; pure, it knows neither Redis nor a server.

    {3: 95, 4: 5}     versions -> weights; a share is a weight over the sum of all

The same key meets the same version on every server, whatever language asks:

    position = CRC-32 (zlib's) of MODEL:KEY in UTF-8, times 2654435769, modulo 2**32
    ranges   [0, 2**32) is shared out from the newest version down to the oldest: version v ends
             before floor(2**32 * weights of v and newer / all weights)

So where newer versions together get more, keys move to newer versions only. Source: Knuth, The Art
of Computer Programming 3, 6.4, for the multiplier; it spreads what CRC-32 leaves in a pattern.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from zlib import crc32

from models.errors import BadTraffic, shown

POSITIONS = 2**32
MASK = POSITIONS - 1
MULTIPLIER = 2654435769
VERSIONS_MOST = 8
VERSION_DIGITS = 9  # no model has a thousand million versions
WEIGHT_LEAST = 0.001
WEIGHT_MOST = 1_000_000
EXAMPLE = '{"3": 95, "4": 5}'


def salt(model: str) -> int:
    """Return what sets the keys of one model apart from the same keys of another."""
    return crc32(f"{model}:".encode())


def position(salted: int, key: str) -> int:
    """Return where a key lies in [0, 2**32)."""
    return (crc32(key.encode("utf-8", "surrogatepass"), salted) * MULTIPLIER) & MASK


@dataclass(frozen=True)
class Traffic:
    """Versions of one model and their weights, ascending by version."""

    model: str
    weights: Mapping[int, float]

    @classmethod
    def read(cls, model: str, value: Any) -> "Traffic":
        """Return the rule that a mapping of versions to weights means; versions may be text, as in JSON.

        Raises: BadTraffic, naming what is no rule, the value and the cure.
        """
        if not isinstance(value, Mapping):
            raise refusal(
                model, f"is {shown(value)}; give versions and their weights such as {EXAMPLE}", value
            )
        if not 1 <= len(value) <= VERSIONS_MOST:
            raise refusal(
                model,
                f"names {len(value)} versions; give 1 to {VERSIONS_MOST}, such as {EXAMPLE}",
                len(value),
            )
        weights = dict(read_pairs(model, value))
        if len(weights) < len(value):
            raise refusal(model, "names a version twice; give each version one weight", len(value))
        return cls(model, dict(sorted(weights.items())))

    @classmethod
    def from_json(cls, model: str, data: bytes) -> "Traffic":
        """Return the rule that is stored.

        Raises: BadTraffic, when it cannot be read.
        """
        try:
            return cls.read(model, json.loads(data))
        except (ValueError, RecursionError) as error:
            raise refusal(
                model, f"is {shown(data)} in Redis, which is no JSON; set it again", data
            ) from error

    def to_json(self) -> str:
        """Return the rule as it is stored."""
        return json.dumps({str(version): weight for version, weight in self.weights.items()})

    @property
    def percent(self) -> dict[int, float]:
        """The share of each version, ascending by version."""
        total = sum(self.weights.values())
        return {version: round(100 * weight / total, 4) for version, weight in self.weights.items()}

    @property
    def greatest(self) -> int:
        """The version with the greatest weight, the oldest among equals."""
        return max(self.weights, key=lambda version: (self.weights[version], -version))

    @property
    def order(self) -> tuple[int, ...]:
        """The versions as their ranges lie: newest first."""
        return tuple(sorted(self.weights, reverse=True))

    @property
    def bounds(self) -> list[int]:
        """Where the range of each version in `order` ends and the next begins; the last ends at 2**32."""
        ends = list(accumulate(self.weights[version] for version in self.order))
        return [math.floor(POSITIONS * end / ends[-1]) for end in ends[:-1]]

    def version_for(self, key: str) -> int:
        """Return the version that answers a key."""
        return self.order[bisect_right(self.bounds, position(salt(self.model), key))]


def read_pairs(model: str, value: Mapping[Any, Any]) -> Iterator[tuple[int, float]]:
    """Yield each version with its weight, whole numbers as such.

    Raises: BadTraffic.
    """
    for version, weight in value.items():
        number = read_version(model, version)
        yield number, read_weight(model, number, weight)


def read_version(model: str, value: Any) -> int:
    """Return a version number, given as such or as text.

    Raises: BadTraffic.
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= VERSION_DIGITS and text[0] != "0"):
        raise refusal(
            model, f"names {shown(value)!r}, which is no version number; give one such as {EXAMPLE}", value
        )
    return int(text)


def read_weight(model: str, version: int, value: Any) -> float:
    """Return a weight.

    Raises: BadTraffic.
    """
    where = f"gives version {version} the weight {shown(value)!s}"
    endless = isinstance(value, float) and not math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or endless:
        raise refusal(model, f"{where}, which is no number; give one such as 5", value)
    if value <= 0:
        raise refusal(
            model, f"{where}; a weight is over 0, and a version that shall get nothing is left out", value
        )
    if not WEIGHT_LEAST <= value <= WEIGHT_MOST:
        raise refusal(model, f"{where}; a weight is {WEIGHT_LEAST:g} to {WEIGHT_MOST:,}", value)
    return int(value) if value == int(value) else float(value)


def refusal(model: str, reason: str, value: object) -> BadTraffic:
    """Return the error that says why a value is no rule."""
    message = f"the traffic rule of model {shown(model)!r} {reason}"
    return BadTraffic(message, model=shown(model), value=shown(value))
