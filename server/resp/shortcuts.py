"""The short roads of one client: what is plainly a prediction, or a DAG like its last one, is known by its bytes.

Whatever is not plainly that takes the long road; so does all when the client is in no state for it.
"""

from typing import Protocol

from server.resp.gathered import Client, Turn
from server.resp.joined import HEAD, predictions_in
from server.resp.joined_dags import Form
from server.resp.service import Service
from server.resp.session import Session
from server.resp.slots import Slot

ENDING = b"\r\n"


class Asking(Client, Protocol):
    """A client that asks."""

    service: Service
    session: Session

    def bears_company(self) -> bool:
        """Whether what changes nothing may begin at once."""

    def slot(self, *, alongside: bool = False) -> Slot:
        """Take the place of a reply."""


class Shortcuts:
    """What is remembered of a client's commands: how its last prediction began, and the form of its last DAG."""

    __slots__ = ("_client", "_form", "_head", "_model", "_size")

    def __init__(self, client: Asking) -> None:
        self._client = client
        self.forget()

    def forget(self) -> None:
        """Remember nothing: who the client is may have changed."""
        self._form: Form | None = None
        self._head, self._model, self._size = HEAD, b"", 0

    def remember(self, form: Form | None) -> None:
        """Remember the form of a DAG that went well."""
        self._form = form

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
        head, size = self._head, len(data)
        if size == self._size and data.startswith(head) and data.endswith(ENDING):
            try:
                keys = [data[len(head) : -2].decode()]
            except UnicodeDecodeError:
                return 0
        else:
            found = predictions_in(data)
            if found is None:
                return 0
            self._model, keys, size = found
            if len(keys) == 1:
                self._size = size
                self._head = data[: size - len(keys[0].encode()) - 2]
        turn = Turn(client, client.slot(alongside=True), len(keys))
        client.service.joined.take(self._model, keys, session.wire, turn)
        return size

    def _dags(self, form: Form, data: bytes) -> int:
        """Begin DAGs of a form."""
        client = self._client
        session = client.session
        if not session.joins or not client.bears_company():
            return 0
        found = form.tensors_in(data)
        if found is None:
            return 0
        tensors, count = found
        end = count * form.size
        turn = Turn(client, client.slot(alongside=True), count, data if len(data) == end else data[:end])
        client.service.dags.take(form, tensors, session.wire, turn)
        return end
