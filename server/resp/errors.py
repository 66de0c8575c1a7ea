"""The one table error -> code word of the Redis protocol, and the one way an error leaves a command.

What clients do with a word, redis-py 8 and go-redis 9 at least, is why it was chosen:

    LOADING     a connection error; they wait and ask again by themselves
    BUSY        an answer, for who asks to wait: the text says for how long
    NOAUTH      a fault of the credentials; NOPERM, of the permissions
    OOM, READONLY, NOPERM of Redis itself stay what they are
    the others  an answer, whose first word tells programs what is wrong
"""

import logging

from redis.exceptions import ResponseError

from models import errors as domain
from models import job_errors, signing_errors
from models.bundle import PageTooLarge
from models.decoding import KeyRefused
from models.errors import InsituError
from server import access
from server.inference import errors as core
from server.resp.refusals import Refused
from server.resp.wire import replies

log = logging.getLogger(__name__)

WORDS: dict[type[InsituError], str] = {
    access.Unauthorized: "NOAUTH",
    access.Forbidden: "NOPERM",
    signing_errors.UnsignedUpload: "NOPERM",
    domain.ModelNotFound: "NOMODEL",
    domain.VersionNotFound: "NOMODEL",
    domain.AliasNotFound: "NOMODEL",
    domain.KeyMissing: "NOTFOUND",
    domain.FieldMissing: "NOTFOUND",
    domain.TrafficNotFound: "NOTFOUND",
    job_errors.JobNotFound: "NOTFOUND",
    domain.WrongType: "WRONGTYPE",
    domain.Stale: "STALE",
    domain.FeatureError: "BADVALUE",  # what lies in Redis is not what the view reads
    domain.KeyNotAllowed: "ERR",
    domain.KeysNotEnough: "ERR",
    domain.InstanceIncomplete: "ERR",
    domain.SourceUnsupported: "ERR",
    domain.BadName: "ERR",
    domain.BadRequest: "ERR",
    domain.BadFeatureView: "ERR",
    domain.BadRecipe: "ERR",
    domain.BadTraffic: "ERR",
    domain.ModelTooLarge: "ERR",
    PageTooLarge: "ERR",
    domain.NothingToRollBack: "ERR",
    domain.VersionInUse: "ERR",
    job_errors.JobUnderWay: "ERR",
    job_errors.RowsElsewhere: "ERR",
    job_errors.JobUnreadable: "ERR",
    core.BadInput: "ERR",
    core.TooManyRows: "ERR",
    core.RunFailed: "ERR",
    core.NotExplainable: "ERR",
    core.TooFewSamples: "ERR",
    core.ProviderUnavailable: "ERR",
    domain.BadModelFile: "BADMODEL",
    domain.BundleCorrupt: "BADMODEL",
    domain.ManifestUnreadable: "BADMODEL",
    core.ModelNotLoadable: "BADMODEL",
    signing_errors.NotTrusted: "BADMODEL",
    core.Overloaded: "BUSY",
    core.DeadlineExceeded: "TIMEOUT",
    core.Stopping: "LOADING",
    domain.RedisUnavailable: "LOADING",
    domain.RedisRefused: "ERR",
    KeyRefused: "NOPERM",
}
OF_CONNECTIONS = ("LOADING", "NOAUTH")  # clients give a connection up at these, also inside of an array
SAID_ON = ("OOM", "READONLY", "NOPERM")
BROKEN = "ERR internal error; the log of this server says why"
NOBODY = "NOAUTH this needs a token; send `AUTH TOKEN`"
STRANGER = "NOAUTH the token is not one of this server's; check it, or add its SHA-256 to INSITU_TOKENS"


def word_of(error: InsituError) -> str:
    """Return the code word of an error: its own entry, or its family's; of a refusal of Redis, Redis' own."""
    said = getattr(error.__cause__, "status_code", None)  # redis-py 7 keeps none
    if isinstance(error, domain.RedisRefused) and said in SAID_ON:
        return str(said)
    return next((WORDS[one] for one in type(error).__mro__ if one in WORDS), "ERR")


def text_of(error: Exception) -> str:
    """Return what a caller is told, the code word first; a fault of ours is told to the log alone."""
    match error:
        case Refused():
            return str(error)
        case access.Unauthorized():
            return STRANGER if error.given else NOBODY
        case InsituError():
            return f"{word_of(error)} {error}"
        case ResponseError():
            return of_redis(error)
    log.error("a command failed", exc_info=error)
    return BROKEN


def of_redis(error: ResponseError) -> str:
    """Return an error of Redis as it was on its wire: redis-py takes off the words that it knows."""
    word, text = getattr(error, "status_code", None), str(error)
    if word is None and not text.partition(" ")[0].isupper():
        word = "ERR"
    return f"{word} {text}" if word else text


def answer(error: Exception) -> bytes:
    """Return the reply that an error is."""
    return replies.error(text_of(error))


def within(error: Exception) -> bytes:
    """Return the reply that an error is as one of several in an array."""
    word, _, rest = text_of(error).partition(" ")
    return replies.error(f"ERR {rest}" if word in OF_CONNECTIONS else f"{word} {rest}")
