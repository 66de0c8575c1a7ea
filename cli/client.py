"""The server's HTTP API as the command line uses it; knows paths and errors, no rows."""

import logging
import ssl
from typing import Any, Self
from urllib.parse import quote

import httpx

from cli.errors import ServerRefused, ServerUnreachable, WrongUsage
from cli.settings import Settings
from models.errors import shown

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
ALIVE_SECONDS = 2.0
EXCERPT = 200
NOT_TRUSTED = "[SSL: CERTIFICATE_VERIFY_FAILED] "
TRUST = (
    "set SSL_CERT_FILE to the certificate of its authority, and ask by a name that its own certificate has"
)
SAY_WHO = "here INSITU_TOKEN, or --token, is its text, which `insitu token` made beside the server's entry"


class ServerClient:
    """One server; close it, or use it in a `with`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Take the address of a server; nothing is sent yet.

        Raises: WrongUsage, it is none.
        """
        self.url = url
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment has no business between two programs of one machine.
        try:
            self._http = httpx.Client(
                base_url=url, timeout=timeout, headers=self.headers, trust_env=False, verify=trust(url)
            )
        except httpx.InvalidURL as error:
            raise WrongUsage(
                f"the server's address {shown(url)!r} is none ({error}); it is written as http://HOST:8000, an IPv6 "
                "address in brackets, http://[::1]:8000"
            ) from error

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return a client for the server of the settings."""
        return cls(settings.url, settings.token.get_secret_value() if settings.token else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def predict(self, name: str, body: dict[str, Any], version: str | None = None) -> dict[str, Any]:
        """Ask for predictions; `body` as POST /v1/models/NAME/predict takes it.

        Raises: ServerUnreachable, ServerRefused.
        """
        return self._asked("POST", f"{path_of(name, version)}/predict", body)

    def explain(self, name: str, body: dict[str, Any], version: str | None = None) -> dict[str, Any]:
        """Ask for explanations; `body` as POST /v1/models/NAME/explain takes it.

        Raises: ServerUnreachable, ServerRefused.
        """
        return self._asked("POST", f"{path_of(name, version)}/explain", body)

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the server says it is ready, and what it says.

        Raises: ServerUnreachable.
        """
        answer = self._sent("GET", "/health/ready")
        return answer.is_success, as_object(answer)

    def models(self) -> dict[str, Any]:
        """Return what GET /v1/models says.

        Raises: ServerUnreachable, ServerRefused.
        """
        return self._asked("GET", "/v1/models")

    def model(self, name: str, version: int) -> dict[str, Any]:
        """Return what the server says of one version.

        Raises: ServerUnreachable, ServerRefused.
        """
        return self._asked("GET", f"/v1/models/{quote(name, safe='')}/versions/{version}")

    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._sent(method, path, body)
        told = as_object(answer)
        if answer.is_success:
            return told
        error = told.get("error")
        if isinstance(error, dict):
            refused = ServerRefused(answer.status_code, error)
            raise refused.with_cure(SAY_WHO) if error.get("code") == "unauthorized" else refused
        excerpt = " ".join(answer.text[:EXCERPT].split())
        message = f"{self.url} answers {answer.status_code}: {excerpt}"
        raise ServerRefused(answer.status_code, {"code": "not_insitu", "message": message})

    def _sent(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            return self._http.send(self._http.build_request(method, path, json=body))
        except ValueError as error:  # before anything is sent
            raise WrongUsage(f"what is asked cannot be sent as JSON: {unsendable(error)}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            cure = {"cure": TRUST} if NOT_TRUSTED in reason else {}
            raise ServerUnreachable(self.url, reason.replace(NOT_TRUSTED, ""), **cure) from error


def unsendable(error: ValueError) -> str:
    """Return what of a request no JSON takes."""
    if isinstance(error, UnicodeEncodeError):
        half = shown(error.object[error.start : error.end])
        return f"{half} is half a character; write a text in UTF-8, or both halves"
    return "NaN, Infinity and numbers beyond 1.8e308 are no JSON; leave the value out and say --missing"


def trust(url: str) -> ssl.SSLContext:
    """Return whose certificates are taken: those of this system's authorities, or of SSL_CERT_FILE's.

    Over http nobody shows one, and reading the authorities would take longer than most requests.
    """
    return (
        ssl.create_default_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )


def path_of(name: str, version: str | None) -> str:
    """Return the path of a model, or of one version or alias of it."""
    pinned = f"/versions/{quote(version, safe='')}" if version is not None else ""
    return f"/v1/models/{quote(name, safe='')}{pinned}"


def is_alive(url: str) -> bool:
    """Return whether an Insitu server answers at an address, whoever signed its certificate: it is told nothing."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the question into the server's log
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        answer = httpx.get(f"{url}/health/live", timeout=ALIVE_SECONDS, trust_env=False, verify=anybody)
        told = as_object(answer)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return told.get("status") == "alive" and "version" in told


def as_object(answer: httpx.Response) -> dict[str, Any]:
    """Return a JSON object, empty when the body is none."""
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
