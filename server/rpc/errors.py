"""The one table error -> status code, and the one way an error leaves a call."""

import logging
import math
from typing import Any, NoReturn

import grpc

from models import errors as domain
from models import job_errors, signing_errors
from models.bundle import PageTooLarge
from models.errors import InsituError
from server import access
from server.inference import errors as core

log = logging.getLogger(__name__)

CODES: dict[type[InsituError], grpc.StatusCode] = {
    access.Unauthorized: grpc.StatusCode.UNAUTHENTICATED,
    access.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    signing_errors.UnsignedUpload: grpc.StatusCode.PERMISSION_DENIED,
    domain.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    domain.VersionNotFound: grpc.StatusCode.NOT_FOUND,
    domain.AliasNotFound: grpc.StatusCode.NOT_FOUND,
    domain.TrafficNotFound: grpc.StatusCode.NOT_FOUND,
    domain.KeyMissing: grpc.StatusCode.NOT_FOUND,
    domain.FieldMissing: grpc.StatusCode.NOT_FOUND,
    job_errors.JobNotFound: grpc.StatusCode.NOT_FOUND,
    domain.BadName: grpc.StatusCode.INVALID_ARGUMENT,
    domain.BadRequest: grpc.StatusCode.INVALID_ARGUMENT,
    domain.BadModelFile: grpc.StatusCode.INVALID_ARGUMENT,
    domain.BadFeatureView: grpc.StatusCode.INVALID_ARGUMENT,
    domain.BadRecipe: grpc.StatusCode.INVALID_ARGUMENT,
    domain.BadTraffic: grpc.StatusCode.INVALID_ARGUMENT,
    domain.ModelTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    PageTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    domain.KeyNotAllowed: grpc.StatusCode.INVALID_ARGUMENT,
    domain.KeysNotEnough: grpc.StatusCode.INVALID_ARGUMENT,
    domain.InstanceIncomplete: grpc.StatusCode.INVALID_ARGUMENT,
    domain.NotANumber: grpc.StatusCode.INVALID_ARGUMENT,
    domain.UnknownCategory: grpc.StatusCode.INVALID_ARGUMENT,
    core.BadInput: grpc.StatusCode.INVALID_ARGUMENT,
    core.TooManyRows: grpc.StatusCode.INVALID_ARGUMENT,
    core.RunFailed: grpc.StatusCode.INVALID_ARGUMENT,
    core.NotExplainable: grpc.StatusCode.INVALID_ARGUMENT,
    core.TooFewSamples: grpc.StatusCode.INVALID_ARGUMENT,
    domain.FeatureError: grpc.StatusCode.FAILED_PRECONDITION,  # what lies in Redis is not what the view reads
    domain.NothingToRollBack: grpc.StatusCode.FAILED_PRECONDITION,
    domain.VersionInUse: grpc.StatusCode.FAILED_PRECONDITION,
    job_errors.JobUnderWay: grpc.StatusCode.FAILED_PRECONDITION,
    job_errors.RowsElsewhere: grpc.StatusCode.FAILED_PRECONDITION,
    job_errors.JobUnreadable: grpc.StatusCode.FAILED_PRECONDITION,
    domain.RedisRefused: grpc.StatusCode.FAILED_PRECONDITION,
    core.ModelNotLoadable: grpc.StatusCode.FAILED_PRECONDITION,
    signing_errors.NotTrusted: grpc.StatusCode.FAILED_PRECONDITION,
    domain.SourceUnsupported: grpc.StatusCode.UNIMPLEMENTED,
    core.Overloaded: grpc.StatusCode.UNAVAILABLE,  # as Triton says when a queue is full
    core.Stopping: grpc.StatusCode.UNAVAILABLE,
    domain.RedisUnavailable: grpc.StatusCode.UNAVAILABLE,
    core.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    domain.BundleCorrupt: grpc.StatusCode.DATA_LOSS,
    domain.ManifestUnreadable: grpc.StatusCode.DATA_LOSS,
    core.ProviderUnavailable: grpc.StatusCode.INTERNAL,
}
BROKEN = "the server failed at this request; its log says why"
CODE = "insitu-code"
PUSHBACK = "grpc-retry-pushback-ms"  # read by clients that retry; gRFC A6
MESSAGE_CHARACTERS = 2048  # a status travels in a header, and clients take 8 KiB of them


def code_of(error: InsituError) -> grpc.StatusCode:
    """Return the status code of an error: its own entry, or its family's."""
    return next((CODES[one] for one in type(error).__mro__ if one in CODES), grpc.StatusCode.INTERNAL)


def metadata_of(error: InsituError) -> tuple[tuple[str, str], ...]:
    """Return what is told beside an error: its code for programs, and when to come again."""
    told = ((CODE, error.code),)
    if isinstance(error, core.Overloaded):
        return (*told, (PUSHBACK, str(max(1, math.ceil(error.retry_after_seconds * 1000)))))
    return told


def message_of(error: Exception) -> str:
    """Return what a caller is told; a fault of ours is told to the log alone."""
    if isinstance(error, InsituError):
        return str(error)[:MESSAGE_CHARACTERS]
    log.error("a call failed", exc_info=error)
    return BROKEN


async def refuse(context: Any, error: Exception) -> NoReturn:
    """End a call with an error."""
    message = message_of(error)
    if isinstance(error, InsituError):
        await context.abort(code_of(error), message, metadata_of(error))
    await context.abort(grpc.StatusCode.INTERNAL, message)
    raise error  # abort has raised
