"""Bytes that are kept for clients: of one connection, and of all of them together."""


class Holding:
    """So many bytes are kept, and no more are begun once there are `most`; what there is counts for `all` too."""

    __slots__ = ("all", "most", "taken")

    def __init__(self, most: int, all_: "Holding | None" = None) -> None:
        self.most, self.all = most, all_
        self.taken = 0

    @property
    def full(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.taken >= self.most or (self.all is not None and self.all.full)

    def take(self, size: int) -> None:
        """Take note of so many bytes more."""
        self.taken += size
        if self.all is not None:
            self.all.take(size)

    def leave(self, size: int) -> None:
        """Take note that so many bytes are gone."""
        self.take(-size)
