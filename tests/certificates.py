"""Certificates for the suite: an authority, a server on loopback and a client; made anew by openssl."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "2"


@dataclass(frozen=True)
class Certificates:
    """Where the files lie."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "authority.crt"

    def certificate(self, name: str) -> Path:
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"


def make_certificates(directory: Path) -> Certificates:
    """Make an authority and, signed by it, `server` for 127.0.0.1 and `client`."""
    made = Certificates(directory)
    openssl(
        directory, "req", "-x509", *new_key("authority"), "-subj", "/CN=authority", "-out", "authority.crt",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    for name in ("server", "client"):
        openssl(
            directory, "req", "-x509", *new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.crt",
            "-CA", "authority.crt", "-CAkey", "authority.key", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE",
        )  # fmt: skip
    return made


def new_key(name: str) -> tuple[str, ...]:
    return (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-days",
        DAYS,
    )


def openssl(directory: Path, *arguments: str) -> None:
    program = shutil.which("openssl") or "openssl"
    subprocess.run((program, *arguments), cwd=directory, check=True, capture_output=True)
