"""Answers of predictions as whole HTTP messages: the bytes that FastAPI and uvicorn would send too."""

import logging
from collections.abc import Sequence
from functools import lru_cache

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from models.errors import InsituError
from server.inference.asking import Answer, Row
from server.inference.columns import columns_of
from server.inference.texts import joined, places_of, texts_of
from server.rest import errors, predict
from server.rest.refusals import Broken
from server.rest.wire import JSON_KIND, Json, as_json

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
KIND_LINE = b"\r\ncontent-type: %b\r\n\r\n" % JSON_KIND.encode()
VERSIONS = 256  # whose beginning of an answer is kept
AFTER = b"]}\n"  # what every answer ends with


class Replies:
    """Writes answers; `headers` are those that uvicorn puts into every one of them."""

    def __init__(self) -> None:
        self._headers: Headers | None = None
        self._begin = self._good = b""

    def of(self, outcome: Answer | Exception, headers: Headers) -> bytes:
        """Return the answer to one request."""
        if isinstance(outcome, Exception):
            return self.of_error(outcome, headers)
        try:
            body = self._body(outcome)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            return self.of_error(error, headers)
        return b"%b%d%b%b" % (self._opening(headers), len(body), KIND_LINE, body)

    def _body(self, outcome: Answer) -> bytes:
        """Return the body of an answer."""
        found = columns_of(outcome.rows)
        if found is None:
            return as_json(predict.worded(predict.whole(outcome)))
        rows, columns = found
        form, places = places_of(columns)
        own = joined(b'{"key":"%%b",%b}' % form, [inside(rows.keys), *places])
        return b"%b%b%b" % (before_rows(outcome.model, outcome.version), own, AFTER)

    def of_rows(self, answer: Answer, headers: Headers, keys: Sequence[bytes]) -> list[bytes]:
        """Return the answers to requests of one key each, which were asked together; `keys` as JSON has them."""
        opening = self._opening(headers)
        before = before_rows(answer.model, answer.version)
        between, more = KIND_LINE + before, len(before) + len(AFTER)
        if (found := columns_of(answer.rows)) is not None:
            owns = [b'{"key":%b,%b}' % pair for pair in zip(keys, texts_of(found[1]), strict=True)]
            return [b"%b%d%b%b%b" % (opening, more + len(own), between, own, AFTER) for own in owns]
        written: list[bytes] = []
        for row in answer.rows:
            if row.error is None and row.version is None and not row.filled:  # nearly every one
                try:
                    own = orjson.dumps({"key": row.key, **row.body}, option=orjson.OPT_SERIALIZE_NUMPY)
                    written.append(b"%b%d%b%b%b" % (opening, more + len(own), between, own, AFTER))
                except TypeError as error:
                    written.append(self.of_error(error, headers))
            else:
                written.append(self._of_odd(answer, row, headers))
        return written

    def _of_odd(self, answer: Answer, row: Row, headers: Headers) -> bytes:
        """Return the answer to a request of one row of which there is more to say."""
        version = answer.version
        if row.version is not None:
            version, row.version = row.version, None
        return self.of(Answer(answer.model, version, (row,)), headers)

    def of_error(self, error: Exception, headers: Headers) -> bytes:
        """Return the answer that an error is; one that no table knows goes to the log and nowhere else."""
        answer: Json = errors.answer(answerable(error))
        own = lines(answer.raw_headers)
        return b"".join(
            (STATUS_LINE[answer.status_code], self._lines(headers), own, b"\r\n", bytes(answer.body))
        )

    def _lines(self, headers: Headers) -> bytes:
        if headers is not self._headers:  # uvicorn makes a new list every second, for the date
            self._headers, self._begin = headers, lines(headers)
            self._good = b"%b%bcontent-length: " % (STATUS_LINE[200], self._begin)
        return self._begin

    def _opening(self, headers: Headers) -> bytes:
        """Return a good answer up to the length of its body."""
        self._lines(headers)
        return self._good


def answerable(error: Exception) -> InsituError:
    """Return an error that can be told; one that no table knows goes to the log and nowhere else."""
    if isinstance(error, InsituError):
        return error
    log.error("a prediction failed", exc_info=error)
    return Broken()


@lru_cache(VERSIONS)
def before_rows(model: str, version: int) -> bytes:
    """Return the body of an answer up to its rows."""
    return as_json(predict.worded(Answer(model, version, ())))[: -len(AFTER)]


def inside(keys: Sequence[str]) -> list[bytes]:
    """Return keys as JSON has them, without the quotes around each."""
    text = orjson.dumps(keys)
    if b"\\" in text:
        return [orjson.dumps(key)[1:-1] for key in keys]
    return text[2:-2].split(b'","')  # no quote is within a key


def lines(headers: Headers) -> bytes:
    """Return headers as they are sent."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
