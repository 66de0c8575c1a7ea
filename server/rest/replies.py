"""Answers of predictions as whole HTTP messages: the bytes that FastAPI and uvicorn would send too."""

import logging

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from models.errors import InsituError
from server.inference.asking import Answer, Row
from server.rest import errors, predict
from server.rest.refusals import Broken
from server.rest.wire import JSON_KIND, Json, as_json

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
FORM = b"%b%%bcontent-length: %%d\r\ncontent-type: %b\r\n\r\n%%b" % (STATUS_LINE[200], JSON_KIND.encode())


class Replies:
    """Writes answers; `headers` are those that uvicorn puts into every one of them."""

    def __init__(self) -> None:
        self._headers: Headers | None = None
        self._begin = b""

    def of(self, outcome: Answer | Exception, headers: Headers) -> bytes:
        """Return the answer to one request."""
        if isinstance(outcome, Exception):
            return self.of_error(outcome, headers)
        try:
            body = as_json(predict.worded(predict.whole(outcome)))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            return self.of_error(error, headers)
        return FORM % (self._lines(headers), len(body), body)

    def of_row(self, answer: Answer, row: Row, headers: Headers) -> bytes:
        """Return the answer to a request of one row, which was asked together with others."""
        if row.error is None and row.version is None and not row.filled:  # nearly every one
            try:
                body = as_json(predict.plainly(answer.model, answer.version, row))
            except TypeError as error:
                return self.of_error(error, headers)
            return FORM % (self._lines(headers), len(body), body)
        version = answer.version
        if row.version is not None:
            version, row.version = row.version, None
        return self.of(Answer(answer.model, version, (row,)), headers)

    def of_error(self, error: Exception, headers: Headers) -> bytes:
        """Return the answer that an error is; one that no table knows goes to the log and nowhere else."""
        if not isinstance(error, InsituError):
            log.error("a prediction failed", exc_info=error)
            error = Broken()
        answer: Json = errors.answer(error)
        own = lines(answer.raw_headers)
        return b"".join(
            (STATUS_LINE[answer.status_code], self._lines(headers), own, b"\r\n", bytes(answer.body))
        )

    def _lines(self, headers: Headers) -> bytes:
        if headers is not self._headers:  # uvicorn makes a new list every second, for the date
            self._headers, self._begin = headers, lines(headers)
        return self._begin


def lines(headers: Headers) -> bytes:
    """Return headers as they are sent."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
