"""The files of certificates that a Redis URL names: read once before anybody connects, and told by name."""

from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext, SSLError
from urllib.parse import parse_qsl, urlsplit

from models.errors import shown

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def fault_of_files(url: str) -> str:
    """Return what is wrong with the files that a URL names, empty where nothing is."""
    given = dict(parse_qsl(urlsplit(url).query))
    for name in FILES:
        if name in given and (fault := unreadable(Path(given[name]))):
            return f"{name} {shown(given[name])!r} cannot be read: {fault}"
    authority, certificate, key = (given.get(name) for name in FILES)
    if key and not certificate:
        return "ssl_keyfile is the key of a certificate; name that too, ssl_certfile=FILE"
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    try:
        if authority:
            context.load_verify_locations(authority)
    except SSLError:
        return f"ssl_ca_certs {shown(authority)!r} holds no certificate in PEM"
    try:
        if certificate:
            context.load_cert_chain(certificate, key, given.get("ssl_password", ""))
    except (SSLError, ValueError):
        both = f"ssl_certfile {shown(certificate)!r} and ssl_keyfile {shown(key or certificate)!r}"
        return f"{both} are no certificate and its key; both are PEM"
    return ""


def unreadable(path: Path) -> str:
    """Return why a file cannot be read, empty where it can."""
    try:
        path.open("rb").close()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
