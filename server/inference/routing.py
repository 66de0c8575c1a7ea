"""Where requests go: the version that answers a key, and the one that runs beside it; knows no Redis."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from models.traffic import MASK, MULTIPLIER, Traffic, salt
from server.inference.loading import Serving


class Split:
    """A traffic rule in force: its versions are loaded, and each key has its own."""

    __slots__ = ("_bounds", "_order", "_salt", "_turn", "greatest", "servings")

    def __init__(self, rule: Traffic, loaded: Mapping[int, Serving]) -> None:
        """Take a rule and its versions, all of them loaded."""
        self.servings = tuple(loaded[version] for version in rule.weights)
        self.greatest = loaded[rule.greatest]
        self._order = tuple(loaded[version] for version in rule.order)
        self._bounds = rule.bounds
        self._salt = salt(rule.model)
        self._turn = 0

    def of(self, key: str) -> Serving:
        """Return the version that answers a key, as `Traffic.version_for` does."""
        position = (crc32(key.encode("utf-8", "surrogatepass"), self._salt) * MULTIPLIER) & MASK
        return self._order[bisect_right(self._bounds, position)]

    def parted(self, keys: Sequence[str]) -> list[tuple[Serving, list[int]]]:
        """Return which of the keys each version answers, by their place; versions without one are left out."""
        bounds, salted = self._bounds, self._salt
        rows: list[list[int]] = [[] for _ in self._order]
        for row, key in enumerate(keys):
            position = (crc32(key.encode("utf-8", "surrogatepass"), salted) * MULTIPLIER) & MASK
            rows[bisect_right(bounds, position)].append(row)
        return [(one, own) for one, own in zip(self._order, rows, strict=True) if own]

    def share(self, version: int | None) -> Serving | None:
        """Return a version of the rule; None when it has no such part."""
        return next((one for one in self.servings if one.manifest.version == version), None)

    def following(self) -> Serving:
        """Return the version for a request without a key: in turn, as evenly as the weights allow."""
        self._turn = (self._turn + MULTIPLIER) & MASK  # the golden ratio: no share ever waits for long
        return self._order[bisect_right(self._bounds, self._turn)]

    def used(self, at: float) -> None:
        """Note that every version of the rule is needed, also one that few keys meet.

        Units: at, seconds of time.monotonic.
        """
        for one in self.servings:
            one.used_at = at


@dataclass(slots=True)
class Route:
    """Where the requests of one model and reference go.

    `serving` answers, or is the greatest part of `split`; `shadow` is asked the same, for comparison.
    """

    serving: Serving
    split: Split | None = None
    shadow: Serving | None = None
