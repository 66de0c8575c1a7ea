"""A predict request of HTTP -> Ask: its shape is checked by hand, its rows are the core's business."""

import re
import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import orjson

from models.errors import BadName, BadRequest, shown
from models.json_values import is_number
from models.values import Missing
from server.inference.asking import Ask

FIELDS = ("keys", "instances", "inputs", "missing", "raw", "timeout_ms")
QUERY = ("key", "missing", "raw", "timeout_ms")
WAYS = FIELDS[:3]
TRUTHS = {"true": True, "1": True, "": True, "false": False, "0": False}
Reference = str | int | None
MILLISECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
TEXTS = {str}
TIMEOUT_HEADER = "x-request-timeout-ms"
VERSION_DIGITS = 9  # no model has a thousand million versions
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}


def of_body(model: str, reference: Reference, data: Any, timeout_ms: str | None = None) -> Ask:
    """Return what a JSON body asks; `timeout_ms` is what the header of that name says beside it.

    Raises: BadRequest, naming the field, its value and the cure.
    """
    if not isinstance(data, dict):
        raise BadRequest(f'the body is {kind(data)}; send an object such as {{"keys": ["patient:17"]}}')
    check_names(data, FIELDS, "field")
    way = the_way(data)
    return Ask(
        model,
        reference,
        keys=the_keys(data["keys"]) if way == "keys" else None,
        instances=the_instances(data["instances"]) if way == "instances" else None,
        inputs=the_inputs(data["inputs"]) if way == "inputs" else None,
        missing=the_missing(data.get("missing")),
        raw=the_truth(data.get("raw", False)),
        deadline=the_deadline(least(data.get("timeout_ms"), timeout_ms)),
    )


def of_query(
    model: str, reference: Reference, query: Sequence[tuple[str, str]], timeout_ms: str | None = None
) -> Ask:
    """Return what a query string asks: `key` once a row, the rest at most once.

    Raises: BadRequest, naming the parameter, its value and the cure.
    """
    names = [name for name, _ in query]
    check_names(names, QUERY, "parameter")
    for name in QUERY[1:]:
        if names.count(name) > 1:
            raise BadRequest(
                f"parameter {name!r} is given {names.count(name)} times; give it once", field=name
            )
    values = dict(query)
    keys = [value for name, value in query if name == "key"]
    if not keys:
        raise BadRequest("the query names no key; ask with ?key=patient:17, more rows with &key=patient:18")
    return Ask(
        model,
        reference,
        keys=keys,
        missing=the_missing(of_text("missing", values.get("missing"))),
        raw=the_truth(TRUTHS.get(values.get("raw", "false"), values.get("raw"))),
        deadline=the_deadline(least(of_text("timeout_ms", values.get("timeout_ms")), timeout_ms)),
    )


def reference(version: str | None) -> Reference:
    """Return the version or alias of a path; None is the production alias.

    Raises: BadName, a number that no version has.
    """
    if version is None or not (version.isascii() and version.isdigit()):
        return version
    if len(version) > VERSION_DIGITS:
        raise BadName("version", version, f"a number of at most {VERSION_DIGITS} digits, or an alias")
    return int(version)


def check_names(names: Mapping[str, Any] | Sequence[str], known: Sequence[str], what: str) -> None:
    """Refuse a misspelt field: it would be left out in silence."""
    for name in names:
        if name not in known:
            raise BadRequest(f"{what} {shown(name)!r} is not known; {meant(name, known)}", field=shown(name))


def meant(name: str, known: Sequence[str], likeness: float = 0.6) -> str:
    """Return what a misspelt name may have meant, of those that are so much alike; else which there are."""
    near = get_close_matches(name[:32], known, n=1, cutoff=likeness)
    if near:
        return f"did you mean {near[0]!r}?"
    return (
        f"there {'are' if len(known) > 1 else 'is'} {', '.join(known)}" if known else "this path takes none"
    )


def the_way(data: Mapping[str, Any]) -> str:
    """Return the one field that says the rows."""
    given = [way for way in WAYS if way in data]
    if len(given) != 1:
        found = "gives none" if not given else f"gives {' and '.join(given)}"
        raise BadRequest(f"the body {found}; say the rows with exactly one of {', '.join(WAYS)}", given=given)
    return given[0]


def the_keys(value: Any) -> list[str]:
    """Return full Redis keys, one a row."""
    if not isinstance(value, list):
        raise BadRequest(f'keys is {kind(value)}; send a list such as ["patient:17"]', field="keys")
    for row, key in enumerate(value if set(map(type, value)) - TEXTS else ()):
        if type(key) is not str:
            raise BadRequest(
                f'keys[{row}] is {kind(key)}; a key is a text such as "patient:17"', field="keys", row=row
            )
    return value


def the_instances(value: Any) -> list[dict[str, Any]]:
    """Return placeholder and inline values, one object a row."""
    if not isinstance(value, list):
        raise BadRequest(
            f'instances is {kind(value)}; send a list such as [{{"id": "17"}}]', field="instances"
        )
    for row, instance in enumerate(value):
        if not isinstance(instance, dict):
            raise BadRequest(
                f'instances[{row}] is {kind(instance)}; an instance is an object such as {{"id": "17"}}',
                field="instances",
                row=row,
            )
    return value


def the_inputs(value: Any) -> dict[str, Any]:
    """Return tensors by the name of the graph's input."""
    if not isinstance(value, dict):
        raise BadRequest(
            f'inputs is {kind(value)}; send an object such as {{"x": [[0.1, 0.2]]}}, tensors by name',
            field="inputs",
        )
    return value


def the_missing(value: Any) -> Missing:
    """Return what stands in for absent values: a number for all, or a value by name."""
    if value is None or is_number(value):
        return value  # type: ignore[no-any-return]  # narrowed by is_number
    if not isinstance(value, dict):
        raise BadRequest(
            f'missing is {kind(value)}; send a number, or values by field such as {{"age": 0}}',
            field="missing",
        )
    for name, one in value.items():
        if not is_number(one) and not isinstance(one, str):
            raise BadRequest(
                f"missing[{shown(name)!r}] is {kind(one)}; send a number or a text", field="missing"
            )
    return value


def the_truth(value: Any) -> bool:
    """Return `raw`."""
    if not isinstance(value, bool):
        raise BadRequest(f"raw is {kind(value)}; send true or false", field="raw")
    return value


def least(timeout_ms: Any, header: str | None) -> Any:
    """Return the shorter of the two times a request may give; one that is no time stays for `the_deadline`.

    Raises: BadRequest, a header that is no number of milliseconds.
    """
    if header is None:
        return timeout_ms
    if not MILLISECONDS.fullmatch(header) or not float(header):
        raise BadRequest(
            f"header X-Request-Timeout-Ms is {shown(header)!r}; send a number of milliseconds over 0",
            field="X-Request-Timeout-Ms",
        )
    if timeout_ms is None:
        return float(header)
    return min(timeout_ms, float(header)) if is_number(timeout_ms) else timeout_ms


def the_deadline(timeout_ms: Any) -> float | None:
    """Return when a request is given up, on the clock of time.monotonic."""
    if timeout_ms is None:
        return None
    if not is_number(timeout_ms) or timeout_ms <= 0:
        raise BadRequest(
            f"timeout_ms is {kind(timeout_ms)}; send a number of milliseconds over 0", field="timeout_ms"
        )
    return time.monotonic() + float(timeout_ms) / 1000


def of_text(name: str, text: str | None) -> Any:
    """Return the value of a query parameter: JSON, as in a body."""
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"parameter {name!r} is {shown(text)!r}, which is no number", field=name) from error


def kind(value: Any) -> str:
    """Return what a JSON value is, with the value itself where it is short."""
    if isinstance(value, list | dict) or value is None:
        return KINDS[type(value)]
    name = KINDS.get(type(value), "a number")
    return f"{name}, {shown(value)!r}" if isinstance(value, str) else f"{name}, {shown(value)}"
