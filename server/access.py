"""Who may ask: bearer tokens with scopes, kept as SHA-256 and compared in constant time.

Without tokens a server that listens on loopback is open to the programs of its machine, not to web
pages that a browser of this machine happens to show: those are told apart by the headers that a
browser sends and a page cannot forge.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args
from urllib.parse import urlsplit

from models.errors import InsituError
from server.settings import is_loopback

Scope = Literal["predict", "admin"]
GRANTS: dict[str, tuple[Scope, ...]] = {"predict": ("predict",), "admin": ("predict", "admin")}
TOKEN_LIMIT_BYTES = 4096
DIGEST = re.compile(r"[0-9a-f]{64}")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SAME_SITE = ("same-origin", "none")  # Sec-Fetch-Site, W3C Fetch Metadata


class NotAllowed(InsituError):
    """Root of what is refused because of who asks."""

    code = "not_allowed"


class Unauthorized(NotAllowed):
    """No token, or one that is not known."""

    code = "unauthorized"

    def __init__(self, given: bool) -> None:
        super().__init__(
            "the bearer token is not one of this server's; check it, or add its SHA-256 to INSITU_TOKENS"
            if given
            else "this needs a bearer token; send `Authorization: Bearer TOKEN`"
        )
        self.given = given


class Forbidden(NotAllowed):
    """Known, but not allowed to do this; or a web page of another origin."""

    code = "forbidden"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: what it grants, and the SHA-256 of its text in hex."""

    scope: Scope
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Read `scope:sha256hex`.

        Raises: ValueError, when it is not that; the message does not repeat the text.
        """
        scope, _, digest = text.partition(":")
        if scope not in get_args(Scope) or not DIGEST.fullmatch(digest.lower()):
            raise ValueError(
                "a token is given as predict:SHA256 or admin:SHA256, the SHA-256 of its text in 64 hex "
                "digits; `printf %s TOKEN | sha256sum` prints it"
            )
        return cls("admin" if scope == "admin" else "predict", digest.lower())


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may do.

    `anonymous` is what a request without a token may do. `local` says that the server listens on
    loopback only and is open for that reason, so that it answers to names of this machine only.
    """

    tokens: tuple[Token, ...] = ()
    anonymous: tuple[Scope, ...] = ()
    local: bool = False

    @classmethod
    def of(cls, tokens: Sequence[str] = (), *, host: str, allow_anonymous: bool = False) -> "Access":
        """Return the rules for these settings.

        Without tokens everything is open on loopback, or anywhere when `allow_anonymous` says so.
        With tokens `allow_anonymous` opens predictions only: admin keeps asking for its token.

        Raises: ValueError, a token that is not `scope:sha256hex`.
        """
        known = tuple(Token.parse(text) for text in tokens)
        if known:
            return cls(known, GRANTS["predict"] if allow_anonymous else ())
        if allow_anonymous:
            return cls(anonymous=GRANTS["admin"])
        local = is_local(host)
        return cls(anonymous=GRANTS["admin"] if local else (), local=local)

    def check(self, scope: Scope, method: str, headers: Mapping[str, str]) -> None:
        """Let a request pass.

        Raises: Unauthorized, no token or an unknown one; Forbidden, a known one without this
                scope, or a web page of another origin without one.
        """
        if self.check_token(scope, headers.get("authorization")):
            return
        check_browser(method, headers)
        if self.local:
            check_host(headers.get("host", ""))

    def check_token(self, scope: Scope, given: str | None) -> bool:
        """Let whoever sent this authorization pass; return whether a token decided it.

        Raises: Unauthorized, no token or an unknown one; Forbidden, a known one without this scope.
        """
        if given is None or not self.tokens:
            if scope not in self.anonymous:
                raise Unauthorized(given=False)
            return False
        granted = self.granted(given)
        if not granted:
            raise Unauthorized(given=True)
        if scope not in granted:
            raise Forbidden(
                f"this token may {' and '.join(granted)}; this needs a token of scope {scope}",
                needed=scope,
                granted=list(granted),
            )
        return True

    def granted(self, authorization: str) -> tuple[Scope, ...]:
        """Return the scopes of an `Authorization` header; none when the token is unknown.

        Every known token is compared, so the time says nothing about which one it was.
        """
        scheme, _, token = authorization.partition(" ")
        data = token.strip().encode()
        if scheme.lower() != "bearer" or not data or len(data) > TOKEN_LIMIT_BYTES:
            return ()
        digest = sha256(data).hexdigest()
        matches = [one.scope for one in self.tokens if hmac.compare_digest(one.digest, digest)]
        return GRANTS["admin" if "admin" in matches else "predict"] if matches else ()


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address or name."""
    name = host.strip("[]").lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def check_host(host: str) -> None:
    """Refuse a name that somebody else pointed to this machine (DNS rebinding).

    Raises: Forbidden.
    """
    name = urlsplit(f"//{host}").hostname if is_netloc(host) else None
    if name is None or not is_local(name):
        raise Forbidden(
            "this server is open to its own machine only and was asked under another name; ask "
            "it as localhost, 127.0.0.1 or [::1], whichever it listens on, or configure INSITU_TOKENS",
            host=host[:128],
        )


def is_netloc(host: str) -> bool:
    """Whether a Host header can be parsed at all."""
    return re.fullmatch(r"[A-Za-z0-9._~-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?", host) is not None


def check_browser(method: str, headers: Mapping[str, str]) -> None:
    """Refuse what a web page of another origin sends without a token.

    Raises: Forbidden.
    Source: Sec-Fetch-Site, W3C Fetch Metadata; Origin where an old browser sends no more.
    """
    if method in SAFE_METHODS:
        return
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        foreign = site not in SAME_SITE
    else:
        foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
    if foreign:
        raise Forbidden(
            "a web page of another origin may not do this without a token", origin=(origin or "")[:128]
        )
