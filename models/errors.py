"""Every error of the domain, with the facts it carries; it knows no transport and no status code.

    InsituError
      BadName  BadModelFile  ModelTooLarge  BadFeatureView  BadRecipe  BadRequest
      ModelNotFound  VersionNotFound  AliasNotFound  NothingToRollBack  VersionInUse
      BadTraffic  TrafficNotFound  BundleCorrupt  ManifestUnreadable  RedisUnavailable  RedisRefused
      FeatureError                  one row's fault: its neighbours are answered
        KeyMissing  FieldMissing  KeyNotAllowed  KeysNotEnough  InstanceIncomplete
        WrongType  WrongLength  NotANumber  Stale  UnknownCategory  SourceUnsupported

A message names the thing, the value and the cure; `details` carries the same facts for programs.
"""

from collections.abc import Iterable, Sequence
from reprlib import Repr
from typing import ClassVar, Self

from models.denials import denied
from models.names import how_it_is_set
from models.number_marks import cured

SHOWN_CHARACTERS = 64
REASON_CHARACTERS = 240
SHOWN_NAMES = 8
SHOWN_DEPTH = 3

_bounded = Repr()
_bounded.maxlevel, _bounded.maxstring, _bounded.maxother = SHOWN_DEPTH, SHOWN_CHARACTERS, SHOWN_CHARACTERS


def shown(value: object, most: int = SHOWN_CHARACTERS) -> str:
    """Return a value as an error may show it: one line, bounded, bytes as text."""
    if isinstance(value, bytes):
        value = value[: 4 * most].decode("utf-8", "backslashreplace")
    try:
        text = str(value) if isinstance(value, str | BaseException) else _bounded.repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = f"{type(value).__name__} of thousands of digits"
    text = text[: most + 1]
    text = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= most else text[: most - 3] + "..."


def listed(names: Iterable[object]) -> str:
    """Return names in one line, bounded; "none" when there are none."""
    every = list(names)
    first = ", ".join(shown(name) for name in every[:SHOWN_NAMES])
    return first + (f" and {len(every) - SHOWN_NAMES} more" if len(every) > SHOWN_NAMES else "") or "none"


class InsituError(Exception):
    """Root of every error a user may see; `code` is stable, `details` holds the facts."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details

    def bare(self) -> Self:
        """Return this without its traceback, whose frames would keep all that was read until cycles are collected."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class BadName(InsituError):
    """A model or alias name that could not be a Redis key and a URL segment at once."""

    code = "bad_name"

    def __init__(self, kind: str, value: str, rule: str) -> None:
        noun = "URL" if kind.endswith("URL") else "name"
        super().__init__(f"{kind} {shown(value)!r} is not a valid {noun}: {rule}", value=shown(value))


class BadModelFile(InsituError):
    """An ONNX file that is refused, and why."""

    code = "bad_model_file"


class ModelTooLarge(InsituError):
    """A model file over the stated bound."""

    code = "model_too_large"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the model file has {size_bytes} bytes, the limit is {limit_bytes}; "
            "raise INSITU_MODEL_LIMIT_BYTES if it is meant to be that large",
            size_bytes=size_bytes,
            limit_bytes=limit_bytes,
        )


class BadFeatureView(InsituError):
    """A feature view that is malformed or does not fit the graph's signature."""

    code = "bad_feature_view"


class BadRecipe(InsituError):
    """A recipe refused before any work."""

    code = "bad_recipe"


class BadRequest(InsituError):
    """A request that no row can be read from."""

    code = "bad_request"


class ModelNotFound(InsituError):
    """No version of this name is stored."""

    code = "model_not_found"

    def __init__(self, name: str, near: str | None = None) -> None:
        hint = f"did you mean {near!r}? " if near else ""
        told = f"model {shown(name)!r} is not stored; {hint}`insitu models` lists what is"
        super().__init__(told, model=shown(name))


class VersionNotFound(InsituError):
    """The model exists, this version of it does not."""

    code = "version_not_found"

    def __init__(self, name: str, version: int, known: Sequence[int]) -> None:
        latest = sorted(known)[-SHOWN_NAMES:]
        there = ("..., " if len(latest) < len(known) else "") + (", ".join(map(str, latest)) or "none")
        super().__init__(
            f"model {name!r} has no version {shown(version)}; stored versions: {there}",
            model=name,
            version=version,
            known=latest,
        )


class AliasNotFound(InsituError):
    """The model exists, this alias of it does not."""

    code = "alias_not_found"

    def __init__(self, name: str, alias: str, known: Sequence[str]) -> None:
        super().__init__(
            f"model {name!r} has no alias {shown(alias)!r}; aliases: {listed(known)}; {how_it_is_set(name, alias)}",
            model=name,
            alias=shown(alias),
            known=list(known[:SHOWN_NAMES]),
        )


class NothingToRollBack(InsituError):
    """The alias has pointed to one version only, or its earlier versions are deleted."""

    code = "nothing_to_roll_back"

    def __init__(self, name: str, alias: str) -> None:
        super().__init__(
            f"alias {alias!r} of model {name!r} has no earlier version to go back to",
            model=name,
            alias=alias,
        )


class VersionInUse(InsituError):
    """A version that an alias points to, or that has traffic, is not deleted."""

    code = "version_in_use"

    def __init__(self, name: str, version: int, aliases: Sequence[str], traffic: bool = False) -> None:
        pointed = [f"is what {listed(aliases)} points to"] if aliases else []
        ruled = ["has a share of the traffic"] if traffic else []
        cures = ["promote another version"] * bool(aliases) + [f"`insitu traffic {name} --clear`"] * traffic
        super().__init__(
            f"version {version} of model {name!r} {' and '.join(pointed + ruled)}; {' and '.join(cures)} first"
            + f", or `insitu delete {name} {version} --with-aliases`" * (not traffic),
            model=name,
            version=version,
            aliases=list(aliases),
            traffic=traffic,
        )


class BadTraffic(InsituError):
    """Versions and weights that are no traffic rule."""

    code = "bad_traffic"


class TrafficNotFound(InsituError):
    """The model has no traffic rule."""

    code = "traffic_not_found"

    def __init__(self, name: str) -> None:
        cure = f"`insitu traffic {name} VERSION=WEIGHT VERSION=WEIGHT` sets one"
        super().__init__(f"model {name!r} has no traffic rule; {cure}", model=name)


class BundleCorrupt(InsituError):
    """Stored bytes are not the published ones; they are never run."""

    code = "bundle_corrupt"

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(
            f"version {version} of model {name!r} is damaged in Redis: {reason}; "
            "publish it again or roll back",
            model=name,
            version=version,
            reason=reason,
        )


class ManifestUnreadable(InsituError):
    """A manifest this program does not understand."""

    code = "manifest_unreadable"

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(
            f"the manifest of {name!r} version {version} cannot be read: {reason}",
            model=name,
            version=version,
            reason=reason,
        )


class RedisUnavailable(InsituError):
    """Redis did not answer; what needs no Redis goes on."""

    code = "redis_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Redis does not answer ({shown(reason)}); predictions from instances or inputs that "
            "need no key still work, keys will when it is back",
            reason=shown(reason),
        )


class RedisRefused(InsituError):
    """Redis answered, and said no: out of memory, no permission, read-only replica."""

    code = "redis_refused"

    def __init__(self, reason: str) -> None:
        told = shown(reason, REASON_CHARACTERS)
        super().__init__(f"Redis refused: {denied(told)}", reason=told)


class FeatureError(InsituError):
    """One row cannot be built from its keys and values; its neighbours can."""

    code = "feature_error"


class KeyMissing(FeatureError):
    """A key of the view is not in Redis, or a hash has none of the fields that are read."""

    code = "key_missing"

    def __init__(self, key: str, fields: bool = False) -> None:
        none = ", or has none of the fields this model reads" if fields else ""
        super().__init__(
            f"key {shown(key)!r} is not in Redis{none}; write it, give the view a default, "
            "or ask with `missing`",
            key=shown(key),
        )


class FieldMissing(FeatureError):
    """A field of an existing key is not there."""

    code = "field_missing"

    def __init__(
        self, key: str, field: str, cure: str = "give the field a default, or ask with `missing`"
    ) -> None:
        name, place = shown(field), shown(key)
        super().__init__(f"key {place!r} has no field {name!r}; write it, {cure}", key=place, field=name)


class KeyNotAllowed(FeatureError):
    """A key outside the template of the view's first keyed source."""

    code = "key_not_allowed"

    def __init__(self, key: str, template: str) -> None:
        super().__init__(
            f"key {shown(key)!r} does not match {template!r}, the only keys this model reads",
            key=shown(key),
            template=template,
        )


class KeysNotEnough(FeatureError):
    """The view needs more than a key can say."""

    code = "keys_not_enough"

    def __init__(self, needed: Sequence[str]) -> None:
        super().__init__(
            f"a key alone does not give {', '.join(needed)}; ask with `instances` and name them",
            needed=list(needed),
        )


class InstanceIncomplete(FeatureError):
    """An instance lacks a placeholder or an inline value, or gives one that is not usable."""

    code = "instance_incomplete"


class WrongType(FeatureError):
    """The key holds another Redis type than the source reads."""

    code = "wrong_type"

    def __init__(self, key: str, wanted: str) -> None:
        super().__init__(
            f"key {shown(key)!r} is not of the type this model reads ({wanted})",
            key=shown(key),
            wanted=wanted,
        )


class WrongLength(FeatureError):
    """Stored bytes or lists are not of the declared size."""

    code = "wrong_length"

    def __init__(self, key: str, found: str, wanted: str) -> None:
        super().__init__(
            f"key {shown(key)!r} has {found}, the model wants {wanted}",
            key=shown(key),
            found=found,
            wanted=wanted,
        )


class NotANumber(FeatureError):
    """A value that is no finite number of the input's type."""

    code = "not_a_number"

    def __init__(self, place: str, value: object, dtype: str) -> None:
        words = {"string": "text", "time": "a Unix or ISO 8601 time"}
        wanted = words.get(dtype, f"{'an' if dtype.startswith('i') else 'a'} {dtype} number")
        told = f"{place} holds {shown(value)!r}, which is not {wanted}{cured(value)}"
        super().__init__(told, place=place, value=shown(value), dtype=dtype)


class Stale(FeatureError):
    """Features older than the view allows."""

    code = "stale"

    def __init__(self, key: str, age_seconds: float, limit_seconds: float) -> None:
        told = (
            f"was written {age_seconds:.1f} s ago, the view allows {limit_seconds:g} s; write it again"
            if age_seconds >= 0
            else f"says it was written {-age_seconds:.1f} s in the future; check `time_unit` and the clocks"
        )
        super().__init__(
            f"key {shown(key)!r} {told}",
            key=shown(key),
            age_seconds=round(age_seconds, 3),
            max_age_seconds=limit_seconds,
        )


class UnknownCategory(FeatureError):
    """A text that is none of the field's categories."""

    code = "unknown_category"

    def __init__(self, place: str, value: object, categories: Sequence[str]) -> None:
        super().__init__(
            f"{place} holds {shown(value)!r}, which is none of: {listed(categories)}; "
            "`unknown:` in the view can name a category for the rest",
            place=place,
            value=shown(value),
        )


class SourceUnsupported(FeatureError):
    """This Redis lacks the command that a source needs."""

    code = "source_unsupported"

    def __init__(self, command: str) -> None:
        super().__init__(
            f"this Redis does not have {command}"
            + ("; `as: json` needs Redis 8 or the JSON module" if command.startswith("JSON.") else ""),
            command=command,
        )
