"""Requests that go on in threads while a test breaks something, and what came of each."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

REQUEST_SECONDS = 10.0
MOST = 20_000  # answers one load may see


@dataclass(frozen=True)
class Seen:
    """One answer: its status, its body, when it was asked and how long it took, in seconds."""

    status: int
    body: dict[str, Any]
    asked: float
    seconds: float


@dataclass
class Load:
    """Clients that ask the same thing over and over."""

    url: str
    body: dict[str, Any]
    seen: list[Seen] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(one.status for one in self.seen)

    def since(self, moment: float) -> list[Seen]:
        return [one for one in self.seen if one.asked >= moment]

    def ask(self) -> None:
        """Ask until the load is over."""
        with httpx.Client(timeout=REQUEST_SECONDS) as client:
            while not self.over.is_set() and len(self.seen) < MOST:
                asked = time.monotonic()
                try:
                    response = client.post(self.url, json=self.body)
                except httpx.HTTPError as error:
                    self.broken.append(repr(error))
                    return
                self.seen.append(Seen(response.status_code, response.json(), asked, time.monotonic() - asked))


@contextmanager
def running(*loads: Load, clients: int = 2) -> Iterator[None]:
    """Keep loads going until the block ends."""
    threads = [threading.Thread(target=load.ask) for load in loads for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for load in loads:
            load.over.set()
        for thread in threads:
            thread.join(REQUEST_SECONDS + 5)
