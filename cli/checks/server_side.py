"""The server: its settings, who could reach it, and whether one answers."""

from pydantic import ValidationError

from cli.checks.findings import Finding, fail, ok, warn
from cli.checks.kept_models import check_model_cache
from cli.client import ServerClient
from cli.errors import START, ServerUnreachable
from cli.settings import Settings, explained
from cli.terminal import count_text
from server.settings import ServerSettings

AREA = "server"


def check_exposure() -> list[Finding]:
    """Look at the server's settings in this environment."""
    try:
        settings = ServerSettings()
    except ValidationError as error:
        return [
            fail("settings", explained(error, ()), "mend the variable; `insitu serve --help` explains each")
        ]
    kept = check_model_cache(settings.model_cache, settings.model_cache_bytes)
    if settings.on_loopback:
        return [ok("settings", f"listens on {settings.host}: this machine only"), *kept]
    return [*beyond_loopback(settings), *kept]


def beyond_loopback(settings: ServerSettings) -> list[Finding]:
    """Look at a server that others can reach."""
    findings = []
    if settings.tokens:
        findings.append(
            ok("settings", f"listens on {settings.host}, {count_text(len(settings.tokens), 'token')}")
        )
    else:
        what = f"listens on {settings.host} without tokens: whoever reaches it may do everything"
        findings.append(warn("settings", what, "make a token with `insitu token` and set INSITU_TOKENS"))
    if settings.tls_cert is None:
        cure = "set INSITU_TLS_CERT and INSITU_TLS_KEY, or put a proxy with TLS in front"
        findings.append(warn("settings", f"listens on {settings.host} without TLS: tokens can be read", cure))
    return findings


def check_server(settings: Settings) -> list[Finding]:
    """Ask the server whether it is ready."""
    try:
        with ServerClient.of(settings) as server:
            ready, told = server.ready()
    except ServerUnreachable as error:
        cure = "start it: insitu up" if error.cure is START else error.cure
        return [warn(AREA, f"none answers at {settings.url} ({error.details['reason']})", cure)]
    if not told:
        cure = "give the address of the server with INSITU_URL, or its own port with --port"
        return [fail(AREA, f"something else than Insitu answers at {settings.url}", cure)]
    if not ready:
        return [fail(AREA, f"{settings.url} is not ready: {told.get('reason', told)}", "see its log")]
    if told.get("redis") is False:
        cure = "start Redis: until then it answers what needs no key, and takes no change over"
        return [warn(AREA, f"{settings.url} is ready without Redis ({told.get('reason', '')})", cure)]
    return [ok(AREA, f"{settings.url} is ready")]
