"""What can be wrong with a row that is read from a stream; the codes are those of other sources."""

from models.errors import FeatureError, shown


class EntryFieldMissing(FeatureError):
    """A field of one entry is not there."""

    code = "field_missing"

    def __init__(self, key: str, entry: str, field: str) -> None:
        name, place = shown(field), shown(key)
        super().__init__(
            f"entry {entry} of key {place!r} has no field {name!r}; give the field a default, or ask with `missing`",
            key=place,
            entry=entry,
            field=name,
        )


class SequenceStale(FeatureError):
    """A sequence whose newest entry is older than the view allows, or lies in the future."""

    code = "stale"

    def __init__(self, key: str, entry: str, age_seconds: float, limit_seconds: float) -> None:
        told = (
            f"was added {age_seconds:.1f} s ago, the view allows {limit_seconds:g} s; add a new one"
            if age_seconds >= 0
            else f"says it was added {-age_seconds:.1f} s in the future; check the clocks, and that ids are in ms"
        )
        super().__init__(
            f"key {shown(key)!r}: its newest entry, {entry}, {told}",
            key=shown(key),
            entry=entry,
            age_seconds=round(age_seconds, 3),
            max_age_seconds=limit_seconds,
        )


class IdWithoutTime(FeatureError):
    """An id that is no time, where the view wants to know how old the newest entry is."""

    code = "stale"

    def __init__(self, key: str, entry: str, limit_seconds: float) -> None:
        super().__init__(
            f"key {shown(key)!r}: the id of its newest entry, {entry}, is no time in milliseconds, so it may be older "
            f"than the {limit_seconds:g} s that the view allows; let XADD give ids (*), or leave max_age_seconds out "
            "of the view",
            key=shown(key),
            entry=entry,
            max_age_seconds=limit_seconds,
        )
