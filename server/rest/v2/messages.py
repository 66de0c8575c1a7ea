"""Answers of inference as whole HTTP messages: the bytes that FastAPI and uvicorn would send too."""

from collections.abc import Iterator
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from models.manifest import Manifest
from server.inference.asking import Answer
from server.open_inference.answering import told
from server.open_inference.infer import Infer, Inferred, TensorTold
from server.rest import errors
from server.rest.replies import Headers, answerable, lines
from server.rest.v2.answers import TEXTS, written
from server.rest.v2.forms import Form
from server.rest.v2.infer import compressed, headers_of

PATH = "/v2/"  # whose errors are worded as the protocol does
Body = tuple[int | None, bytes]  # how many bytes of it are JSON, None for all, and the body


class Messages:
    """Writes answers; `headers` are those that uvicorn puts into every one of them."""

    def __init__(self) -> None:
        self._headers: Headers | None = None
        self._good = b""

    def bodies(self, answer: Answer, manifest: Manifest, form: Form, count: int) -> Iterator[Body]:
        """Give the body of each of `count` requests of one form, whose rows follow one another."""
        outputs = answer.outputs or {}
        tensors = [outputs[name] for name in form.names(manifest)]
        shapes = [tensor.shape for tensor in tensors]
        last, like, json = form.answered
        if last is not manifest or like != (count, shapes):
            inferred = told(Infer(answer.model, None, (), form.outputs), answer, manifest)
            if any(tensor.dtype.kind in TEXTS for tensor in tensors):
                for at in range(count):
                    yield self.body(part(inferred, at, form.rows), binary=True)
                return
            first = written(part(inferred, 0, form.rows), binary=True)
            json = first.body[: first.json_bytes]
            form.answered = manifest, (count, shapes), json
        blobs = [split(tensor.tobytes(), count) for tensor in tensors]
        for own in blobs[0] if len(blobs) == 1 else map(b"".join, zip(*blobs, strict=True)):
            yield len(json), json + own

    def body(self, inferred: Inferred, binary: bool) -> Body:
        """Return the body of an answer; outputs of which nothing else is said come as bytes where `binary`."""
        found = written(inferred, binary)
        return found.json_bytes, found.body

    def good(
        self, headers: Headers, json_bytes: int | None, body: bytes, encoding: str | None = None
    ) -> bytes:
        """Return an answer."""
        if headers is not self._headers:  # uvicorn makes a new list every second, for the date
            self._headers, self._good = headers, STATUS_LINE[200] + lines(headers)
        own = own_lines(json_bytes, encoding)
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (self._good, own, len(body), body)

    def error(self, headers: Headers, error: Exception) -> bytes:
        """Return the answer that an error is; one that no table knows goes to the log and nowhere else."""
        answer = errors.answer(answerable(error), PATH)
        own = lines(answer.raw_headers)
        return b"".join((STATUS_LINE[answer.status_code], lines(headers), own, b"\r\n", bytes(answer.body)))


def part(inferred: Inferred, at: int, rows: int) -> Inferred:
    """Return the answer to one of several requests with so many rows each."""
    own = slice(at * rows, (at + 1) * rows)
    outputs = [TensorTold(one.name, one.datatype, one.tensor[own], one.binary) for one in inferred.outputs]
    return Inferred(inferred.model, inferred.version, "", outputs, inferred.parameters)


def split(data: bytes, count: int) -> list[bytes]:
    """Return the bytes of each of several requests of one form."""
    size = len(data) // count
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [b""] * count


@lru_cache(maxsize=256)
def own_lines(json_bytes: int | None, encoding: str | None) -> bytes:
    """Return the headers that say what the body of an answer is."""
    headers = headers_of(json_bytes) | ({} if encoding is None else compressed(encoding))
    return lines([(name.lower().encode(), value.encode()) for name, value in headers.items()])
