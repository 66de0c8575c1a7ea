"""Naming: the key that the answer of each row goes to, so that no two share one and none is a feature."""

from collections.abc import Sequence

from models.assembly import Plan
from models.errors import BadFeatureView, BadRequest, FeatureError, InstanceIncomplete, listed, shown
from models.templates import KeyTemplate, Part, scan

ROW = "key"  # the placeholder of the row's own key
CURE = "such as 'score:{key}'"


class AnswerKeys:
    """A template compiled: `{key}` is the row's key, other placeholders are those its key has in the view."""

    def __init__(self, text: str, plan: Plan) -> None:
        """Compile a template.

        Raises: BadRequest, it is none, names what a key does not say, gives several rows one key,
                or a key that the model reads.
        """
        self._text, self._templates = text, plan.templates
        self._parts = parts_of(text)
        self._near = [one for one in plan.templates if alike(parts_of(one.text), self._parts)]
        names = [part.name for part in self._parts if part.name is not None]
        known = plan.templates[0].placeholders if plan.templates else ()
        self._check_names(names, known)
        self._by_key = ROW in names
        self._plain = set(names) == {ROW}
        self._own = None if self._by_key else template_of(text)
        if plan.templates:
            self._check_one(dict.fromkeys(known, "0"))

    def _check_names(self, names: Sequence[str], known: Sequence[str]) -> None:
        for name in names:
            if name != ROW and name not in known:
                raise BadRequest(
                    f"the answers' key {shown(self._text)!r} names {shown(name)!r}, which a row's key does not "
                    f"say; it may name {listed((ROW, *known))}"
                )
        left_out = [name for name in known if name not in names]
        if ROW not in names and (left_out or not names):
            differing = f"rows that differ in {listed(left_out)}" if names else "all rows"
            raise BadRequest(
                f"the answers' key {shown(self._text)!r} is the same for {differing}; put {{key}} in it, {CURE}"
            )

    def _check_one(self, values: dict[str, str]) -> None:
        """Check where the answer of a made-up row would go; the others are checked when they are written."""
        try:
            key = self._templates[0].fill(values)
            self.check([key], [self._of(key)])
        except FeatureError:
            return

    def of(self, keys: Sequence[str]) -> tuple[list[str], dict[int, FeatureError]]:
        """Return the key of each row's answer, and the errors of rows that have none: "" stands there.

        Raises: BadRequest, one is a key that the model reads.
        """
        errors: dict[int, FeatureError] = {}
        each = enumerate(keys)
        named = self._plainly(keys) if self._plain else [self._or_error(at, key, errors) for at, key in each]
        self.check(keys, named)
        return named, errors

    def _plainly(self, keys: Sequence[str]) -> list[str]:
        if len(self._parts) == 2:
            before, after = self._parts[0].literal, self._parts[1].literal
            return [before + key + after for key in keys] if after else [before + key for key in keys]
        return [self._filled(key, {}) for key in keys]

    def _or_error(self, at: int, key: str, errors: dict[int, FeatureError]) -> str:
        try:
            return self._of(key)
        except FeatureError as error:
            errors[at] = error
            return ""

    def _of(self, key: str) -> str:
        """Return where the answer of one row goes.

        Raises: KeyNotAllowed, InstanceIncomplete.
        """
        values = {} if self._plain else self._templates[0].read(key)
        if self._own is None:
            return self._filled(key, values)
        named = self._own.fill(values)
        if self._own.match(named) != {name: values[name] for name in self._own.placeholders}:
            raise InstanceIncomplete(
                f"the answer of {shown(key)!r} would share {shown(named)!r} with another's"
            )
        return named

    def _filled(self, key: str, values: dict[str, str]) -> str:
        own = {**values, ROW: key}
        return "".join(
            [part.literal + (own[part.name] if part.name is not None else "") for part in self._parts]
        )

    def check(self, keys: Sequence[str], named: Sequence[str]) -> None:
        """Refuse to write over features.

        Raises: BadRequest.
        """
        for template in self._near:
            if (taken := template.accepting(named)) is not None:
                raise BadRequest(
                    f"the answer of {shown(keys[named.index(taken)])!r} would go to {shown(taken)!r}, which "
                    f"{template.text!r} reads as features; choose another key, {CURE}"
                )


def alike(one: Sequence[Part], other: Sequence[Part]) -> bool:
    """Whether keys of two templates may be the same by what they begin with."""
    first, second = one[0].literal, other[0].literal
    return first.startswith(second) or second.startswith(first)


def template_of(text: str) -> KeyTemplate:
    """Return a template whose keys have one reading each, so that no two rows share one.

    Raises: BadRequest.
    """
    try:
        return KeyTemplate(text)
    except BadFeatureView as error:
        raise BadRequest(f"the answers' {error}; or put {{key}} in it, {CURE}") from error


def parts_of(text: str) -> list[Part]:
    """Read a template.

    Raises: BadRequest.
    """
    try:
        return scan(text)
    except BadFeatureView as error:
        raise BadRequest(f"the answers' {error}") from error
