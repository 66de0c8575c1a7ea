"""The short roads of one client: what is plainly a prediction, or a DAG like its last one, is known by its bytes.

Whatever is not plainly that takes the long road; so does all when the client is in no state for it.
"""

import time
from typing import Protocol

from server.resp.joined import HEAD, predictions_in
from server.resp.joined_dags import Form
from server.resp.service import Service
from server.resp.session import Session
from server.resp.slots import Slot

FORM_SECONDS = 1.0  # then Redis is asked anew for this client: an ACL may have been changed meanwhile
ENDING = b"\r\n"
NEVER_BYTES = 1 << 62  # as long as no command is


class Asking(Protocol):
    """A client that asks."""

    service: Service
    session: Session

    def bears_company(self) -> bool:
        """Whether what changes nothing may begin at once."""

    def slot(self, *, alongside: bool = False, count: int = 1, size: int = 0) -> Slot:
        """Take the place of so many replies, to commands of so many bytes."""


class Shortcuts:
    """What is remembered of a client's commands: how its last prediction began, and the form of its last DAG."""

    __slots__ = ("_client", "_form", "_head", "_model", "_size", "_until")

    def __init__(self, client: Asking) -> None:
        self._client = client
        self.forget()

    def forget(self) -> None:
        """Remember nothing: who the client is may have changed."""
        self._form: Form | None = None
        self._until = 0.0
        self._head, self._model, self._size = HEAD, "", NEVER_BYTES

    def remember(self, form: Form | None) -> None:
        """Remember the form of a DAG that went well, for as long as nobody need ask whether the client still may."""
        self._form = form
        self._until = time.monotonic() + FORM_SECONDS

    def take(self, data: bytes) -> int:
        """Begin what data begins with; return where that ends, 0 where it takes the long road."""
        if data.startswith(HEAD):
            return self._predictions(data)
        form = self._form
        if form is not None and data.startswith(form.before) and len(data) >= form.size:
            return self._dags(form, data)
        return 0

    def _predictions(self, data: bytes) -> int:
        """Begin predictions of one key each."""
        client = self._client
        session = client.session
        if not session.predicts or not client.bears_company():
            return 0
        keys, size = self._like_the_last(data), len(data)
        if not keys:
            found = predictions_in(data)
            if found is None:
                return 0
            model, keys, size = found
            last = len(keys[-1].encode())
            self._model = model.decode("utf-8", "replace")
            self._head = b"%b$%d\r\n%b\r\n$%d\r\n" % (HEAD, len(model), model, last)
            self._size = len(self._head) + last + len(ENDING)
        slot = client.slot(alongside=True, count=len(keys), size=size)
        client.service.joined.take(self._model, keys, session.wire, slot)
        return size

    def _like_the_last(self, data: bytes) -> list[str]:
        """Return the keys of predictions that differ from the last one in their key alone, all as long as its."""
        head, size = self._head, self._size
        count, rest = divmod(len(data), size)
        if rest or not count or not data.isascii():
            return []
        if count == 1:
            return [data[len(head) : -2].decode()] if data.startswith(head) and data.endswith(ENDING) else []
        parts, width = data.split(head), size - len(head)
        if parts.pop(0) or len(parts) != count or set(map(len, parts)) != {width}:
            return []
        keys = b"".join(parts).decode().split("\r\n")
        return keys if not keys.pop() and len(keys) == count and set(map(len, keys)) == {width - 2} else []

    def _dags(self, form: Form, data: bytes) -> int:
        """Begin DAGs of a form."""
        client = self._client
        session = client.session
        if not session.joins or not client.bears_company():
            return 0
        if time.monotonic() > self._until:
            self._form = None
            return 0
        found = form.tensors_in(data)
        if found is None:
            return 0
        tensors, count = found
        end = count * form.size
        slot = client.slot(alongside=True, count=count, size=end)
        slot.data = data if len(data) == end else data[:end]
        client.service.dags.take(form, tensors, session.wire, slot)
        return end
