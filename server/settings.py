"""Settings of the server process, read once from the environment; nothing else reads it."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.public_keys import read_every_public
from models.signing_errors import BadKey

TOKEN_ENTRY = re.compile(r"(predict|admin):[0-9A-Fa-f]{64}")
GIB = 1 << 30
LAST_PORT = 65535
Directory = Annotated[Path, "DIR"]  # what help calls it


class ServerSettings(BaseSettings):
    """Every setting of `insitu serve`; the environment variable is INSITU_ and the name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="INSITU_",
        env_ignore_empty=True,  # as `cli` reads its own: a variable that a compose file passes on unset is none
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis to serve from: redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://."""

    prefix: str = "insitu"
    """Prefix of every key of this product in Redis."""

    host: str = "127.0.0.1"
    """Address to listen on; beyond loopback it takes tokens, or allow_anonymous."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port to listen on; 0 takes a free one."""

    grpc_port: Annotated[int | None, Field(ge=-1, le=65535)] = None
    """TCP port of the Open Inference Protocol over gRPC: 0 takes a free one, -1 opens none, none is `port` and 1."""

    resp_port: Annotated[int | None, Field(ge=-1, le=65535)] = None
    """TCP port of the Redis protocol: 0 takes a free one, -1 opens none, none is `port` and 2; not for clusters."""

    tokens: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated access tokens as SCOPE:SHA256, scope predict or admin; `insitu token` makes one."""

    allow_anonymous: bool = False
    """Listen beyond loopback without tokens: whoever reaches the port may do everything."""

    trusted_keys: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated public keys, or files of them (`insitu key`): a version that none has signed is not loaded."""

    tls_cert: Path | None = None
    """Certificate chain (PEM) to serve HTTPS with, and gRPC and the Redis protocol over TLS."""

    tls_key: Path | None = None
    """Private key (PEM) of tls_cert."""

    provider: Literal["auto", "cpu", "cuda"] = "auto"
    """Execution provider of ONNX Runtime; cuda refuses to start where CUDA does not run."""

    workers: Annotated[int, Field(ge=0, le=256)] = 1
    """Server processes that share the port, each with its own sessions; 0 is one a core."""

    worker_timeout_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """Seconds after which one of several workers whose event loop stands still is replaced; 0 leaves it."""

    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Threads of a worker that run batches; 0 is its share of the cores, which is never exceeded."""

    intra_op_threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads ONNX Runtime may use inside one run, out of that share; more than 1 pays only for large networks."""

    max_batch_rows: Annotated[int, Field(ge=1, le=1 << 20)] = 1024
    """Rows that are run together at the most."""

    max_batch_wait_ms: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Milliseconds a batch that is not full waits for more rows; 0 waits for nothing."""

    max_queue_rows: Annotated[int, Field(ge=1, le=1 << 24)] = 16_384
    """Rows that may wait for one model; more are refused at once, those of a less urgent priority not counted."""

    default_priority: Annotated[int, Field(ge=1, le=10)] = 5
    """Priority of a request that names none: 1 is the most urgent, 10 the least."""

    max_request_rows: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
    """Rows one request may have."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=GIB)] = 16 << 20
    """Bytes the body of a request may have, uploads of models aside."""

    max_grpc_message_bytes: Annotated[int, Field(ge=1024, le=2 * GIB - 1)] = 256 << 20
    """Bytes one gRPC message may have, tensors and model files alike; max_body_bytes is HTTP's alone."""

    model_limit_bytes: Annotated[int, Field(ge=1024, le=2 * GIB - 1)] = 512 << 20
    """Bytes an uploaded model file may have."""

    model_memory_bytes: Annotated[int, Field(ge=1 << 20)] = 4 * GIB
    """Memory that loaded versions may take, shared out evenly among workers; the least recently used leave first."""

    model_cache: Directory | None = None
    """Directory that models are kept in, so that they load and are served while Redis is away; none keeps nothing."""

    model_cache_bytes: Annotated[int, Field(ge=1 << 20)] = 4 * GIB
    """Bytes that all files in model_cache may take together; the least recently used leave first."""

    preload_models: Annotated[int, Field(ge=0, le=10_000)] = 64
    """Models whose production version is loaded before the server says it is ready."""

    trial_memory_bytes: Annotated[int, Field(ge=256 << 20)] = 8 * GIB
    """Address space of the separate process that every version is first tried in."""

    trial_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    """Seconds that trial may take."""

    request_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Seconds after which a prediction is given up; a request may ask for less with timeout_ms."""

    max_jobs: Annotated[int, Field(ge=0, le=64)] = 2
    """Scoring jobs that a server works on at once, each in a process of its own; 0 leaves them to other servers."""

    redis_timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    """Milliseconds a read of features may take before Redis counts as away."""

    redis_busy_poll_us: Annotated[int, Field(ge=0, le=1000)] = 100
    """Microseconds the wait for a lone read of a Redis nearby is spent looking for it, not asleep; 0 sleeps."""

    client_busy_poll_us: Annotated[int, Field(ge=0, le=1000)] = 100
    """Microseconds the loop stays awake for a client that asks one request after the other; 0 sleeps."""

    resync_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds between checks of every alias, beside the events that tell at once."""

    shutdown_seconds: Annotated[int, Field(ge=1, le=600)] = 20
    """Seconds that requests in flight get to end after SIGTERM."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""

    log_format: Literal["text", "json"] = "text"
    """Form of the log lines."""

    @property
    def grpc(self) -> int | None:
        """The port of gRPC, 0 a free one; None where it is not served."""
        return self._beside(self.grpc_port, 1)

    @property
    def resp(self) -> int | None:
        """The port of the Redis protocol, 0 a free one; None where it is not served."""
        if self.resp_port is None and self.of_cluster:
            return None
        return self._beside(self.resp_port, 2)

    @property
    def beside(self) -> dict[str, int]:
        """The ports beside that of HTTP, by the doors that are opened there: grpc, resp."""
        ports = {"grpc": self.grpc, "resp": self.resp}
        return {name: port for name, port in ports.items() if port is not None}

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return self.host.lower() == "localhost" or is_loopback(self.host)

    @property
    def of_cluster(self) -> bool:
        """Whether features lie in a Redis Cluster."""
        return "+cluster:" in self.redis_url

    def _beside(self, port: int | None, distance: int) -> int | None:
        if port is None:
            return self.port + distance if 0 < self.port <= LAST_PORT - distance else 0
        return None if port < 0 else port

    @field_validator("provider", "log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("host")
    @classmethod
    def _bare(cls, host: str) -> str:
        """Take an IPv6 address as a URL has it, in brackets; a socket knows it without."""
        inner = host.removeprefix("[").removesuffix("]")
        return inner if host == f"[{inner}]" and ":" in inner else host

    @field_validator("tokens", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split(value) if isinstance(value, str) else value

    @field_validator("trusted_keys", mode="before")
    @classmethod
    def _at_least_one(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        entries = split(value)
        if not entries:
            raise ValueError("it names no key; leave it out to load every version, signed or not")
        return entries

    @field_validator("trusted_keys")
    @classmethod
    def _read_files(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        """Put keys in the place of the files that hold them: other processes and machines read none."""
        try:
            return tuple(map(str, read_every_public(entries)))
        except BadKey as error:
            raise ValueError(str(error)) from error

    @field_validator("host")
    @classmethod
    def _can_be_a_name(cls, host: str) -> str:
        try:
            host.encode("idna")  # as a name is looked up
        except UnicodeError as error:
            raise ValueError("no address and no name of a host; name an address of this machine") from error
        return host

    @field_validator("tokens")
    @classmethod
    def _entries(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        for number, entry in enumerate(tokens, 1):
            if not TOKEN_ENTRY.fullmatch(entry):
                raise ValueError(
                    f"entry {number} is not predict:SHA256 or admin:SHA256; `insitu token` makes one"
                )
        return tokens

    @model_validator(mode="after")
    def _not_open_by_accident(self) -> Self:
        if not self.on_loopback and not self.tokens and not self.allow_anonymous:
            raise ValueError(
                f"host {self.host} is beyond loopback and there are no tokens; make one with `insitu token` and "
                "set INSITU_TOKENS, or say INSITU_ALLOW_ANONYMOUS=true if everybody may do everything"
            )
        if self.of_cluster and self.resp_port is not None and self.resp_port >= 0:
            raise ValueError("resp_port is for one Redis: clients of a cluster ask its nodes themselves")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        return self

    @model_validator(mode="after")
    def _each_its_port(self) -> Self:
        """Refuse two doors at one port: the system would open it twice, and deal connections out by chance."""
        doors = {"port": self.port, **{f"{name}_port": port for name, port in self.beside.items()}}
        for name, port in doors.items():
            other = next((one for one, its in doors.items() if its == port and one != name), None)
            if port and other:
                raise ValueError(
                    f"{name} and {other} are both {port}; give each its own, or {other} -1 for none"
                )
        return self


def split(text: str) -> tuple[str, ...]:
    """Return what commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def is_loopback(text: str) -> bool:
    """Whether a text is an address by which a machine reaches itself; no name is one."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
