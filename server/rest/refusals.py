"""What only HTTP can refuse, as errors with facts; which status each has is in errors.py.

Refusal
PathNotFound  MethodRefused  ParameterRefused   where and how
CardNotFound                                    what a version does not have
MalformedRequest  HeadTooLarge                  before a path is known
BodyTooLarge  BodyTooSlow  TooManyNodes  TooManyNames
MalformedJson  MediaTypeRefused
NotReady  Broken                                what is wrong with us
"""

from collections.abc import Sequence

from models.errors import InsituError, shown
from server.inference.errors import FAULT


class Refusal(InsituError):
    """Root of what this door refuses by itself, before the core is asked."""

    code = "refused"


class PathNotFound(Refusal):
    """No route has this path."""

    code = "path_not_found"

    def __init__(self, path: str, close: Sequence[str]) -> None:
        hint = f"did you mean {close[0]}? " if close else ""
        super().__init__(f"nothing is at {shown(path)}; {hint}/docs lists every path", path=shown(path))


class MethodRefused(Refusal):
    """The path is there, for other methods."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(
            f"{shown(method)} is not for {shown(path)}; allowed: {allowed}",
            method=shown(method),
            path=shown(path),
            allowed=[one.strip() for one in allowed.split(",")],
        )
        self.allowed = allowed


class ParameterRefused(Refusal):
    """A parameter of the path, the query, the form or a small body that cannot be read."""

    code = "bad_parameter"


class CardNotFound(Refusal):
    """The version has no model card, or none of that form."""

    code = "card_not_found"

    def __init__(self, name: str, version: int, *, data: bool) -> None:
        cure = "ask for its data with ?format=json" if data else "`insitu train` makes one with the model"
        what = "no page of its model card" if data else "no model card"
        super().__init__(
            f"version {version} of model {name!r} has {what}; {cure}", model=name, version=version
        )


class MalformedRequest(Refusal):
    """Bytes that are no HTTP, or a head that others would read otherwise."""

    code = "malformed_request"

    def __init__(self, why: str = "") -> None:
        super().__init__(
            why
            or "this is no request of HTTP/1.1; in its path only ASCII may stand: name keys with other letters in the "
            "body, or percent-encoded (curl -G --data-urlencode key=...)"
        )


class HeadTooLarge(Refusal):
    """More bytes of path and headers than anybody needs; no end of them was waited for."""

    code = "head_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the path and the headers have more than {limit_bytes} bytes; send keys and values in the body",
            limit_bytes=limit_bytes,
        )


class BodyTooLarge(Refusal):
    """More bytes than the route takes; the rest was not read."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int, size_bytes: int | None = None) -> None:
        found = f"has {size_bytes} bytes" if size_bytes is not None else "is larger than allowed"
        super().__init__(
            f"the body {found}, the limit is {limit_bytes}; send it in parts or raise the limit in the settings",
            limit_bytes=limit_bytes,
            **({} if size_bytes is None else {"size_bytes": size_bytes}),
        )


class BodyTooSlow(Refusal):
    """The body stopped coming."""

    code = "body_too_slow"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no more of the body came for {seconds:g} s; send it again", seconds=seconds)


class TooManyNodes(Refusal):
    """A JSON body of more lists and objects than are read; it was not read."""

    code = "too_many_nodes"

    def __init__(self, nodes: int, limit: int) -> None:
        super().__init__(
            f"the body has {nodes} lists and objects, the limit is {limit}; send it in parts, or tensors as bytes "
            "by the Open Inference Protocol",
            nodes=nodes,
            limit=limit,
        )


class TooManyNames(Refusal):
    """A JSON body with an object of more names than are read; it was not read."""

    code = "too_many_names"

    def __init__(self, names: int, limit: int) -> None:
        super().__init__(
            f"an object of the body has {names} names, the limit is {limit}; a name is a field or a parameter: send "
            "many values as a list",
            names=names,
            limit=limit,
        )


class MalformedJson(Refusal):
    """A body that is no JSON."""

    code = "malformed_json"


class MediaTypeRefused(Refusal):
    """A body of another kind than the route reads."""

    code = "unsupported_media_type"

    def __init__(self, given: str, wanted: str, cure: str) -> None:
        super().__init__(
            f"the body is said to be {shown(given)!r}, this route reads {wanted}; {cure}",
            given=shown(given),
            wanted=wanted,
        )


class NotReady(Refusal):
    """Alive, but not to be sent requests yet."""

    code = "not_ready"


class Broken(Refusal):
    """A fault of this program; the log has it, the answer does not."""

    code = FAULT

    def __init__(self) -> None:
        super().__init__("the server failed at this request; its log says why")
