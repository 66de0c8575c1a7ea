"""Key templates: `patient:{id}` made into a key and back; pure text, no Redis.

A placeholder stands for one or more characters other than ':', Redis' usual separator, so
`patient:{id}` is `patient:17` and never `patient:17:notes`. `{{` and `}}` are literal braces.
"""

import re
from collections.abc import Mapping
from string import Formatter

from models.errors import BadFeatureView, InstanceIncomplete, KeyNotAllowed, shown

PLACEHOLDER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEY_LIMIT_BYTES = 1024
VALUE_CHARACTER = r"[^:\x00\ud800-\udfff]"  # lone surrogates have no UTF-8 form
VALUE = re.compile(f"{VALUE_CHARACTER}+")


class KeyTemplate:
    """One key template, compiled once."""

    def __init__(self, text: str) -> None:
        """Compile a template.

        Raises: BadFeatureView, malformed braces, a placeholder twice or no valid name.
        """
        self.text = text
        parts = parse(text)
        self.placeholders = tuple(name for _, name in parts if name is not None)
        if len(set(self.placeholders)) != len(self.placeholders):
            raise BadFeatureView(f"key template {text!r} names a placeholder twice", key=text)
        self._parts = parts
        self._pattern = re.compile("".join(as_regex(*part) for part in parts))
        self.glob = "".join(as_glob(*part) for part in parts)

    def match(self, key: str) -> dict[str, str] | None:
        """Return what the placeholders stand for in `key`, or None when it does not match."""
        found = self._pattern.fullmatch(key)
        if found is None or len(key.encode()) > KEY_LIMIT_BYTES:
            return None
        return found.groupdict()

    def read(self, key: str) -> dict[str, str]:
        """Return what the placeholders stand for in `key`.

        Raises: KeyNotAllowed, when it does not match.
        """
        found = self.match(key)
        if found is None:
            raise KeyNotAllowed(key, self.text)
        return found

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the key for the given placeholder values.

        Raises: InstanceIncomplete, a value missing, empty, with a ':' in it or not a scalar.
        """
        return "".join(
            literal + ("" if name is None else self._value(name, values)) for literal, name in self._parts
        )

    def _value(self, name: str, values: Mapping[str, object]) -> str:
        if name not in values:
            raise InstanceIncomplete(
                f"the instance gives no {name!r}, which {self.text!r} needs",
                placeholder=name,
                template=self.text,
            )
        value = values[name]
        text = str(value)
        scalar = isinstance(value, str | int) and not isinstance(value, bool)
        if not scalar or not VALUE.fullmatch(text) or len(text.encode()) > KEY_LIMIT_BYTES:
            raise InstanceIncomplete(
                f"{name!r} is {shown(value)!r}; a placeholder of {self.text!r} takes a text or an "
                f"integer of 1 to {KEY_LIMIT_BYTES} bytes without ':'",
                placeholder=name,
                template=self.text,
            )
        return text


def parse(text: str) -> list[tuple[str, str | None]]:
    """Split a template into (literal, placeholder or None) pairs."""
    try:
        fields = [(lit, name, spec, conv) for lit, name, spec, conv in Formatter().parse(text)]
    except ValueError as error:
        raise BadFeatureView(f"key template {text!r}: {error}", key=text) from error
    for _, name, spec, conversion in fields:
        if name is not None and (spec or conversion or not PLACEHOLDER.fullmatch(name)):
            raise BadFeatureView(
                f"key template {text!r}: {{{name}}} is no placeholder; write {{name}}, "
                "or {{ and }} for braces that belong to the key",
                key=text,
            )
    if not fields:
        raise BadFeatureView("a key template is empty; write one like 'patient:{id}'", key=text)
    return [(literal, name) for literal, name, _, _ in fields]


def as_regex(literal: str, name: str | None) -> str:
    """Return the part of the pattern that matches one pair of `parse`."""
    return re.escape(literal) + ("" if name is None else f"(?P<{name}>{VALUE_CHARACTER}+)")


def as_glob(literal: str, name: str | None) -> str:
    """Return the part of a SCAN pattern for one pair of `parse`."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", literal) + ("" if name is None else "*")
