"""The table error -> status code: whole, and never INTERNAL for what a caller did."""

from collections.abc import Iterator

import grpc

from models import bundle, job_errors
from models import errors as domain
from models.errors import FeatureError, InsituError
from server import access
from server.access import NotAllowed
from server.inference import errors as core
from server.rpc.errors import (
    BROKEN,
    CODE,
    CODES,
    MESSAGE_CHARACTERS,
    PUSHBACK,
    code_of,
    message_of,
    metadata_of,
)

FAMILIES = (FeatureError,)
MODULES = {one.__name__ for one in (domain, bundle, job_errors, access, core)}
OURS = {core.ProviderUnavailable}  # no caller's doing


def every_error(root: type[InsituError] = InsituError) -> Iterator[type[InsituError]]:
    for one in root.__subclasses__():
        yield one
        yield from every_error(one)


def has_code(one: type[InsituError]) -> bool:
    return one in CODES or any(family in one.__mro__ and family in CODES for family in FAMILIES)


def test_every_error_has_a_code_of_its_own_or_by_its_family() -> None:
    known = [one for one in every_error() if one.__module__ in MODULES and one is not NotAllowed]

    assert len(known) > 35
    assert [one.__name__ for one in known if not has_code(one)] == []


def test_no_error_that_a_caller_can_cause_is_internal() -> None:
    internal = {one for one, code in CODES.items() if code is grpc.StatusCode.INTERNAL}

    assert internal == OURS


def test_an_error_is_looked_up_by_its_nearest_ancestor() -> None:
    class OddKey(domain.KeyMissing):
        code = "odd_key"

    assert code_of(OddKey("customer:1")) is grpc.StatusCode.NOT_FOUND
    assert code_of(domain.WrongType("customer:1", "hash")) is grpc.StatusCode.FAILED_PRECONDITION


def test_a_full_queue_says_when_to_come_again() -> None:
    told = dict(metadata_of(core.Overloaded("m", 5, 0.25)))

    assert told == {CODE: "overloaded", PUSHBACK: "250"}


def test_a_fault_of_ours_is_not_told_to_callers() -> None:
    assert message_of(ValueError("a password")) == BROKEN


def test_a_message_fits_into_a_header() -> None:
    assert len(message_of(domain.BadRequest("x" * 10_000))) == MESSAGE_CHARACTERS
