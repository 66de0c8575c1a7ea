"""Keys of Feast's online store: an entity as callers name it, `driver_id:1001`, to the bytes of its key and back. Pure.

    u32 join keys; of each, sorted: u32 2, u32 length, name; of each value: u32 type, u32 length, value; project

All of it little-endian. Serialization 2 has neither the number of join keys nor the lengths of their names.
Source: feast/infra/key_encoding_utils.py of Feast 0.67, docs/specs/online_store_format.md
"""

import re
from collections.abc import Mapping, Sequence
from struct import Struct

from models.encoding import Argument, Command, Form
from models.errors import InstanceIncomplete, KeyNotAllowed, shown
from models.feast_errors import NotThisEntity
from models.murmur import murmur3
from models.sources import FeastSource, KeyedSource
from models.templates import KeyTemplate

WORD = Struct("<I")
PAIR = Struct("<II")
TEXT, TEXT_NUMBER = "string", 2
NUMBERS = {TEXT: TEXT_NUMBER, "int32": 3, "int64": 4, "unix_timestamp": 8}  # of feast.types.ValueType
INTEGERS = {"int32": Struct("<i"), "int64": Struct("<q"), "unix_timestamp": Struct("<q")}
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # one text for each integer: an entity has one name
LENGTHS_SINCE = 3
NO_ENTITY = {"__dummy_id": (TEXT, "")}  # Feast's, of a view without entities
GLOB = re.compile(rb"([*?\[\]\\])")


def feature_field(view: str, feature: str) -> bytes:
    """Return the field of the hash that holds a feature."""
    return WORD.pack(murmur3(f"{view}:{feature}".encode()))


def time_field(view: str) -> bytes:
    """Return the field of the hash that holds when a view's features were written."""
    return b"_ts:" + view.encode()


def fits(kind: str, text: str) -> bool:
    """Whether a text is a value of a join key of that type."""
    if kind == TEXT:
        return True
    most = 1 << 8 * INTEGERS[kind].size - 1
    return INTEGER.fullmatch(text) is not None and -most <= int(text) < most


def packed(kind: str, text: str) -> bytes:
    """Return the value of a join key as its key has it; it fits."""
    return text.encode() if kind == TEXT else INTEGERS[kind].pack(int(text))


def unpacked(kind: str, data: bytes) -> str | None:
    """Return the text of a value of a join key, None for bytes that are none of that type."""
    if kind != TEXT:
        form = INTEGERS[kind]
        return str(form.unpack(data)[0]) if len(data) == form.size else None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


class EntityKeys:
    """The keys of one project and one entity."""

    def __init__(self, source: FeastSource) -> None:
        self._kinds = [(source.placeholders[name], kind) for name, kind in sorted(source.entity.items())]
        names = [name.encode() for name in sorted(source.entity or NO_ENTITY)]
        lengths = source.entity_key_serialization_version >= LENGTHS_SINCE
        self._head = WORD.pack(len(names)) if lengths else b""
        for name in names:
            self._head += PAIR.pack(TEXT_NUMBER, len(name)) if lengths else WORD.pack(TEXT_NUMBER)
            self._head += name
        if not source.entity:
            self._head += PAIR.pack(TEXT_NUMBER, 0)
        self.project = source.project
        self._tail = source.project.encode()

    @property
    def pattern(self) -> bytes:
        """The pattern that SCAN finds all of them by, and others."""
        head, tail = (GLOB.sub(rb"\\\1", part) for part in (self._head, self._tail))
        return head + b"*" + tail

    def key(self, values: Mapping[str, str]) -> bytes:
        """Return the key of an entity, whose values fit."""
        parts = [self._head]
        for name, kind in self._kinds:
            value = packed(kind, values[name])
            parts += (PAIR.pack(NUMBERS[kind], len(value)), value)
        return b"".join([*parts, self._tail])

    def values(self, key: bytes) -> dict[str, str] | None:
        """Return what the join keys are in a key, None for a key of something else."""
        if not key.startswith(self._head):
            return None
        at, result = len(self._head), {}
        for name, kind in self._kinds:
            if len(key) < at + PAIR.size:
                return None
            number, size = PAIR.unpack_from(key, at)
            start, at = at + PAIR.size, at + PAIR.size + size
            text = unpacked(kind, key[start:at]) if number == NUMBERS[kind] else None
            if text is None:
                return None
            result[name] = text
        return result if key[at:] == self._tail else None


class EntityTemplate(KeyTemplate):
    """How callers name the entities of one source; a value has to be of its join key's type."""

    def __init__(self, source: FeastSource) -> None:
        """Compile the names of a source's entities."""
        super().__init__(source.key)
        self._kinds = {source.placeholders[name]: kind for name, kind in source.entity.items()}
        self._keys = EntityKeys(source)
        self.pattern = self._keys.pattern
        """What SCAN finds the keys by."""

    @property
    def hint(self) -> str:
        """What to look at where no entity is found."""
        told = f"{', '.join(self._kinds) or 'none'} of Feast project {self._keys.project!r}"
        return f"Feast has written no such entity, join keys {told}; look whether these are Feast's own"

    def match(self, key: str) -> dict[str, str] | None:
        """Return what the join keys are in a name, or None when it does not match."""
        found = super().match(key)
        return found if found is None or self._misfit(found) is None else None

    def accepts_all(self, keys: Sequence[str]) -> bool:
        """Whether `match` would read every name."""
        return super().accepts_all(keys) and all(self.match(key) is not None for key in keys)

    def read(self, key: str) -> dict[str, str]:
        """Return what the join keys are in a name.

        Raises: KeyNotAllowed, when it does not match.
        """
        found = super().match(key)
        if found is None:
            raise KeyNotAllowed(key, self.text)
        if (name := self._misfit(found)) is not None:
            raise NotThisEntity(key, self.text, name, found[name], self._kinds[name])
        return found

    def key(self, name: str) -> bytes:
        """Return the key in Redis of an entity.

        Raises: KeyNotAllowed, when the name does not match.
        """
        return self._keys.key(self.read(name))

    def name(self, key: bytes) -> str | None:
        """Return how a caller names the entity of a key; None for a key of something else.

        A text with a ':' in it makes a name that does not match.
        """
        values = self._keys.values(key)
        if values is None:
            return None
        return "".join(
            part.literal + ("" if part.name is None else values[part.name]) for part in self._parts
        )

    def _misfit(self, values: Mapping[str, str]) -> str | None:
        """Return the first join key whose value is not of its type."""
        for name, kind in self._kinds.items():
            if not fits(kind, values[name]):
                return name
        return None

    def _value(self, name: str, stop: str, values: Mapping[str, object]) -> str:
        text = super()._value(name, stop, values)
        kind = self._kinds[name]
        if not fits(kind, text):
            raise InstanceIncomplete(
                f"{name!r} is {shown(text)!r}, which is no {kind}, the type of that join key in Feast",
                placeholder=name,
                template=self.text,
            )
        return text


class EntityForm(Form):
    """One command at the key of an entity, which is given by its name."""

    __slots__ = ("_template",)

    def __init__(self, template: EntityTemplate, name: str, *after: Argument) -> None:
        """Take the template of names, the command's name and the arguments after the key."""
        super().__init__(name, *after)
        self._template = template

    def of(self, key: str) -> Command:
        """Return the command for one entity, as redis-py takes it."""
        return (self.name, self._template.key(key), *self.after)

    def encoded(self, key: str) -> bytes:
        """Return the command for one entity, as Redis takes it."""
        data = self._template.key(key)
        return b"%b%d\r\n%b%b" % (self._head, len(data), data, self._tail)

    def encoded_for(self, keys: Sequence[str]) -> list[bytes]:
        """Return the commands for several entities, as `encoded` does for one."""
        return [*map(self.encoded, keys)]


def template_of(source: KeyedSource) -> KeyTemplate:
    """Return the template of what callers name the rows of a source by."""
    return EntityTemplate(source) if isinstance(source, FeastSource) else KeyTemplate(source.key)
