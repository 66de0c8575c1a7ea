"""Every Redis key of the product, built in one place; docs/redis-keys.md shows the same table.

    insitu:models                 set     names: a hint for listing, never the truth
    insitu:{NAME}                 hash    next_version, created, description, previous:ALIAS, traffic
    insitu:{NAME}:aliases         hash    alias -> version
    insitu:{NAME}:versions        set     numbers of the stored versions
    insitu:{NAME}:deleted         string  a word of the last deletion, for a minute
    insitu:{NAME}:vN:manifest     string  Manifest as JSON
    insitu:{NAME}:vN:onnx:I       string  ONNX bytes in 64 MiB chunks, I from 0
    insitu:{NAME}:vN:card         string  the model card as HTML, where there is one
    insitu:{NAME}:vN:signature    string  who has signed it, and the signature, as JSON, where there is one
    insitu:{NAME}:vN:refused      string  why a server did not load it, as JSON
    insitu:events                 stream  what changed, about the last 1,000; also a channel
    insitu:jobs                   zset    names of scoring jobs, by when they began: a hint for listing
    insitu:{job:JOB}              hash    a scoring job: spec, state, how far it is
    insitu:{job:JOB}:parts        stream  rows that are not scored yet, in parts; group `scorers`
    insitu:{job:JOB}:tallies      hash    process -> what became of the rows it scored, as JSON
    insitu:{job:JOB}:walker       string  the process that finds the rows, while it lives
    insitu:{job:JOB}:working      string  that some process works on it, while one lives
    insitu:appended:{SLOT}:JOB:BEGUN:STREAM  hash  what of each part a job has appended to a stream

The braces are Redis Cluster's hash tag: every key of one model, and of one job, lies in one slot.
SLOT is a number that puts what is noted of a stream into the stream's own.
"""

import re
from dataclasses import dataclass

from models.errors import BadName
from models.names import ALIAS, ALIAS_RULE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
NAME_RULE = "1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit"
JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}")
JOB_RULE = "1 to 160 of A-Z a-z 0-9 . _ -, the first a letter or digit"
PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
VERSION_DIGITS = 18
LONE = ("models", "events", "jobs")  # what stands behind the prefix alone, and what begins every other key
BEGINNINGS = ("{", "appended:")
PREFIX_RULE = "1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit"


def check_name(name: str) -> str:
    """Return a model name that is one.

    Raises: BadName, when it could not be a key and a URL segment.
    """
    if not NAME.fullmatch(name):
        raise BadName("model name", name, NAME_RULE)
    return name


def check_alias(alias: str) -> str:
    """Return an alias that is one, never to be mistaken for a version number.

    Raises: BadName, otherwise.
    """
    if not ALIAS.fullmatch(alias):
        raise BadName("alias", alias, ALIAS_RULE)
    return alias


def check_job(name: str) -> str:
    """Return a job's name that is one.

    Raises: BadName, when it could not be a key and a URL segment.
    """
    if not JOB.fullmatch(name):
        raise BadName("job name", name, JOB_RULE)
    return name


def as_name(member: bytes) -> str | None:
    """Return a stored model name, None when it is none of ours."""
    text = member.decode("utf-8", "replace")
    return text if NAME.fullmatch(text) else None


def as_job(member: bytes) -> str | None:
    """Return a stored job name, None when it is none of ours."""
    text = member.decode("utf-8", "replace")
    return text if JOB.fullmatch(text) else None


def is_alias(field: bytes) -> bool:
    """Whether a stored alias is one of ours."""
    return ALIAS.fullmatch(field.decode("utf-8", "replace")) is not None


def as_version(reference: str) -> int | None:
    """Return a reference of digits as a version number; an alias begins with a letter."""
    digits = reference.isascii() and reference.isdigit()
    return int(reference.lstrip("0")[:VERSION_DIGITS] or 0) if digits else None


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one prefix; two prefixes in one Redis never meet."""

    prefix: str = "insitu"

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise BadName("key prefix", self.prefix, PREFIX_RULE)

    def owns(self, key: str) -> bool:
        """Whether a key is among those here, or a template of keys begins as one of them does."""
        own = key.removeprefix(f"{self.prefix}:")
        return own != key and (own in LONE or own.startswith(BEGINNINGS))

    def models(self) -> str:
        """Set of names."""
        return f"{self.prefix}:models"

    def events(self) -> str:
        """Stream, and channel, of what changed."""
        return f"{self.prefix}:events"

    def model(self, name: str) -> str:
        """Hash about one model."""
        return f"{self.prefix}:{{{check_name(name)}}}"

    def aliases(self, name: str) -> str:
        """Hash alias -> version."""
        return f"{self.model(name)}:aliases"

    def versions(self, name: str) -> str:
        """Set of the numbers of the stored versions."""
        return f"{self.model(name)}:versions"

    def deleted(self, name: str) -> str:
        """A word of the last deletion, by which one that is sent again knows that it was done; it expires."""
        return f"{self.model(name)}:deleted"

    def manifest(self, name: str, version: int) -> str:
        """Manifest of one version, JSON text."""
        return f"{self.model(name)}:v{version}:manifest"

    def card(self, name: str, version: int) -> str:
        """Model card of one version, HTML."""
        return f"{self.model(name)}:v{version}:card"

    def signature(self, name: str, version: int) -> str:
        """Signature of one version, JSON text."""
        return f"{self.model(name)}:v{version}:signature"

    def refused(self, name: str, version: int) -> str:
        """Why a server did not load one version, JSON text."""
        return f"{self.model(name)}:v{version}:refused"

    def chunk(self, name: str, version: int, index: int) -> str:
        """One chunk of the ONNX bytes of one version."""
        return f"{self.model(name)}:v{version}:onnx:{index}"

    def jobs(self) -> str:
        """Sorted set of job names, by when they began."""
        return f"{self.prefix}:jobs"

    def job(self, name: str) -> str:
        """Hash about one scoring job."""
        return f"{self.prefix}:{{job:{check_job(name)}}}"

    def job_parts(self, name: str) -> str:
        """Stream of the parts of a job that are not scored yet."""
        return f"{self.job(name)}:parts"

    def job_tallies(self, name: str) -> str:
        """Hash process -> tally."""
        return f"{self.job(name)}:tallies"

    def job_walker(self, name: str) -> str:
        """The process that finds the rows of a job."""
        return f"{self.job(name)}:walker"

    def job_working(self, name: str) -> str:
        """That some process works on a job, while one lives."""
        return f"{self.job(name)}:working"

    def job_appended(self, name: str, begun: float, stream: str, tag: int) -> str:
        """Hash part -> which of its rows are in a stream; `tag` is a number that lies in the stream's slot."""
        begin = f"{check_job(name)}:{int(begun * 1000)}"
        return f"{self.prefix}:appended:{{{tag}}}:{begin}:{stream}"
