"""What a client has said of itself: protocol, database, transaction, who it is."""

from dataclasses import dataclass, field

from server.access import Access, Scope
from server.resp.refusals import Refused
from server.resp.subscriptions import Subscriptions
from server.resp.transactions import Transaction
from server.resp.wire.replies import RESP2, Encoder

NO_AUTH = "NOAUTH Authentication required."
WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled."  # noqa: S105  # Redis' own words


@dataclass(slots=True)
class Session:
    """One client's state, as Redis keeps it too.

    `home` is the database of the server's own URL. `scopes` is what it may do. `muted` says that it wants
    no replies, `skip` that it wants none to its next command.
    """

    access: Access
    home: int
    wire: Encoder = RESP2
    scopes: tuple[Scope, ...] = ()
    multi: Transaction | None = None
    subscriptions: Subscriptions | None = None
    muted: bool = False
    skip: bool = False
    passes: bool = field(init=False)
    db: int = field(init=False)

    def __post_init__(self) -> None:
        self.db = self.home
        self.allow(self.access.anonymous)

    @property
    def predicts(self) -> bool:
        """Whether a prediction is just that: allowed, of the server's own database, in no transaction."""
        quiet = self.muted or self.skip
        other = quiet or self.multi is not None or self.subscriptions is not None
        return not other and self.db == self.home and "predict" in self.scopes

    @property
    def is_plain(self) -> bool:
        """Whether a command for Redis just goes there."""
        return self.passes and not self.muted and not self.skip and self.subscriptions is None

    @property
    def joins(self) -> bool:
        """Whether a command that changes nothing may be worked on together with those of others."""
        return self.passes and self.predicts

    @property
    def by_token(self) -> bool:
        """Whether a token says who somebody is, and not Redis."""
        return bool(self.access.tokens)

    @property
    def subscribed(self) -> bool:
        """Whether only commands about subscriptions are taken: in RESP2, while there is one."""
        return self.wire.version < 3 and self.subscriptions is not None and self.subscriptions.any

    def allow(self, scopes: tuple[Scope, ...]) -> None:
        """Take what it may do from now on; whoever may do everything reaches Redis."""
        self.scopes = scopes
        self.passes = "admin" in scopes

    def log_in(self, token: bytes) -> None:
        """Take a token.

        Raises: Refused, it is none of this server's.
        """
        granted = self.access.granted(f"Bearer {token.decode('utf-8', 'replace')}")
        if not granted:
            raise Refused(WRONG_PASS)
        self.allow(granted)

    def check(self, scope: Scope) -> None:
        """Let a command of a scope pass.

        Raises: Refused.
        """
        if scope not in self.scopes:
            raise self.refusal(scope)

    def refusal(self, scope: Scope) -> Refused:
        """Return what is said to a command of a scope that is not held."""
        if not self.scopes:
            return Refused(NO_AUTH)
        return Refused(
            f"NOPERM this token may {' and '.join(self.scopes)}; this command needs a token of scope {scope}"
        )
