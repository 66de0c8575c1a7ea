"""Key templates: `patient:{id}` made into a key and back; pure text, no Redis.

A placeholder stands for one or more characters other than ':', Redis' usual separator, so
`patient:{id}` is `patient:17` and never `patient:17:notes`. Where two placeholders lie between the
same colons, as in `cell:{row}-{column}`, the first ends where the text between them begins, so
every key has one reading. `{{` and `}}` are literal braces.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.errors import BadFeatureView, InstanceIncomplete, KeyNotAllowed, shown

KEY_LIMIT_BYTES = 1024
SHORT_CHARACTERS = KEY_LIMIT_BYTES // 4  # within the limit whatever they are: UTF-8 has four bytes at most
MANY = 64  # keys are looked at together for what they plainly are
INTEGER_BITS = 256  # a longer integer is no identifier, and Python refuses to write very long ones
TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|[^{}]+")
VALUE_CHARACTER = r"[^:\x00\ud800-\udfff]"  # lone surrogates have no UTF-8 form
LINE_CHARACTER = VALUE_CHARACTER.replace("^", r"^\n")
GROUP = re.compile(r"\(\?P<\w+>")  # a literal's own bracket is escaped
VALUE = re.compile(f"{VALUE_CHARACTER}+")
UNSTORABLE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Part:
    """Literal text and the placeholder after it; `stop` is the text that ends the placeholder."""

    literal: str
    name: str | None
    stop: str = ""


class KeyTemplate:
    """One key template, compiled once."""

    def __init__(self, text: str) -> None:
        """Compile a template.

        Raises: BadFeatureView, malformed braces, a placeholder twice or without text around it.
        """
        self.text = text
        self._parts = parse(text)
        self.placeholders = tuple(part.name for part in self._parts if part.name is not None)
        if len(set(self.placeholders)) != len(self.placeholders):
            raise BadFeatureView(f"key template {shown(text)!r} names a placeholder twice", key=shown(text))
        whole = "".join(as_regex(part) for part in self._parts)
        self._pattern = re.compile(whole)
        line = GROUP.sub("(?:", whole).replace(VALUE_CHARACTER, LINE_CHARACTER)
        self._lines = re.compile(f"(?:{line}\n)*")
        first, *rest = self._parts
        # What every key begins with, where only a value follows.
        self._head = first.literal if [part.literal for part in rest] == [""] else ""
        self.glob = "".join(as_glob(part) for part in self._parts)

    @property
    def hint(self) -> str:
        """How somebody looks for keys of it by hand."""
        return f"look with `redis-cli --scan --pattern {self.glob!r}`"

    def match(self, key: str) -> dict[str, str] | None:
        """Return what the placeholders stand for in `key`, or None when it does not match."""
        found = self._pattern.fullmatch(key) if len(key) <= KEY_LIMIT_BYTES else None
        if found is None or len(key.encode()) > KEY_LIMIT_BYTES:
            return None
        return found.groupdict()

    def accepts_all(self, keys: Sequence[str]) -> bool:
        """Whether every key is short and `match` would read it: a fifth of the time of asking for each."""
        try:
            if len(keys) == 1:
                return len(keys[0]) <= SHORT_CHARACTERS and self._pattern.fullmatch(keys[0]) is not None
            lengths = set(map(len, keys))
            if max(lengths, default=0) > SHORT_CHARACTERS:
                return False
            text = "\n".join(keys)
            if len(keys) >= MANY and self._plainly(text, len(keys), min(lengths)):
                return True
            if text.count("\n") == len(keys) - 1:
                return self._lines.fullmatch(text + "\n") is not None
            return all(map(self._pattern.fullmatch, keys))
        except TypeError:  # something is no text
            return False

    def _plainly(self, text: str, count: int, shortest: int) -> bool:
        """Whether `count` keys, a line each, are plain characters that are seen to be a head and a value.

        Each begins with the head and has more than that, and no ':' but those of the heads.
        """
        head = self._head
        if not head or shortest <= len(head) or not text.isascii():
            return False
        data = np.frombuffer(text.encode("ascii"), np.uint8)
        lines, colons = (np.count_nonzero(data == ord(one)) for one in "\n:")
        alike = lines == count - 1 == text.count("\n" + head) and text.startswith(head)
        return alike and colons == count * head.count(":") and "\0" not in text

    def accepting(self, keys: Sequence[str]) -> str | None:
        """Return the first key that `match` would read, None when there is none."""
        likely = filter(self._pattern.fullmatch, keys)
        return next((key for key in likely if self.match(key) is not None), None)

    def read(self, key: str) -> dict[str, str]:
        """Return what the placeholders stand for in `key`.

        Raises: KeyNotAllowed, when it does not match.
        """
        found = self.match(key)
        if found is None:
            raise KeyNotAllowed(key, self.text)
        return found

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the key for the given placeholder values; `match` gives them back.

        Raises: InstanceIncomplete, a value missing, empty, with a ':' in it or not a scalar.
        """
        key = "".join(
            part.literal + ("" if part.name is None else self._value(part.name, part.stop, values))
            for part in self._parts
        )
        if len(key.encode()) > KEY_LIMIT_BYTES:
            raise InstanceIncomplete(
                f"key {shown(key)!r} has {len(key.encode())} bytes, over {KEY_LIMIT_BYTES}",
                template=self.text,
            )
        return key

    def _value(self, name: str, stop: str, values: Mapping[str, object]) -> str:
        if name not in values:
            raise InstanceIncomplete(
                f"the instance gives no {name!r}, which {self.text!r} needs",
                placeholder=name,
                template=self.text,
            )
        text = as_text(values[name])
        if text is None or not VALUE.fullmatch(text):
            raise InstanceIncomplete(
                f"{name!r} is {shown(values[name])!r}; a placeholder of {self.text!r} takes a text or "
                "an integer of at least one character, without ':'",
                placeholder=name,
                template=self.text,
            )
        if stop and (text + stop).find(stop) != len(text):
            raise InstanceIncomplete(
                f"{name!r} is {shown(text)!r}, but {stop!r} is where it ends in {self.text!r}, "
                "so the key would have two readings",
                placeholder=name,
                template=self.text,
            )
        return text


def as_text(value: object) -> str | None:
    """Return a placeholder value as it stands in a key; None for what is no text and no integer."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= INTEGER_BITS:
        return str(value)
    return None


def parse(text: str) -> list[Part]:
    """Split a template into its parts.

    Raises: BadFeatureView, naming the place that cannot be read.
    """
    if not text or len(text.encode("utf-8", "replace")) > KEY_LIMIT_BYTES or UNSTORABLE.search(text):
        raise BadFeatureView(
            f"key template {shown(text)!r} is no key; write 1 to {KEY_LIMIT_BYTES} bytes of UTF-8 "
            "like 'patient:{id}'",
            key=shown(text),
        )
    return with_stops(scan(text), text)


def scan(text: str) -> list[Part]:
    """Read braces and the text between them; the last part has no placeholder."""
    parts, literal, at = [], "", 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise BadFeatureView(
                f"key template {shown(text)!r}: {shown(text[at:])!r} is no placeholder; write {{name}}, "
                "or {{ and }} for braces that belong to the key",
                key=shown(text),
            )
        at = token.end()
        if token["name"] is None:
            literal += token[0][0] if token[0] in ("{{", "}}") else token[0]
            continue
        parts.append(Part(literal, token["name"]))
        literal = ""
    return [*parts, Part(literal, None)]


def with_stops(parts: list[Part], text: str) -> list[Part]:
    """Give each placeholder that shares its segment with the next one the text it ends at."""
    result = []
    for part, after in pairwise(parts):
        if after.name is not None and not after.literal:
            raise BadFeatureView(
                f"key template {shown(text)!r}: nothing between {{{part.name}}} and {{{after.name}}} "
                "says where one ends; put a ':' or another text there",
                key=shown(text),
            )
        shared = after.name is not None and ":" not in after.literal
        result.append(Part(part.literal, part.name, after.literal if shared else ""))
    return [*result, parts[-1]]


def as_regex(part: Part) -> str:
    """Return the part of the pattern that matches one part of the template.

    No value has its stop in it, so it ends in one place and no key is tried in every way. Python before 3.11.5
    matches possessive forms of such patterns wrongly (CPython's gh-106052).
    """
    if part.name is None:
        return re.escape(part.literal)
    until = f"(?:(?!{re.escape(part.stop)}){VALUE_CHARACTER})+" if part.stop else f"{VALUE_CHARACTER}+"
    return f"{re.escape(part.literal)}(?P<{part.name}>{until})"


def as_glob(part: Part) -> str:
    """Return the part of a SCAN pattern for one part of the template."""
    escaped = re.sub(r"([*?\[\]\\])", r"\\\1", part.literal)
    return escaped + ("" if part.name is None else "*")
