"""The table error -> code word: whole, and words that clients act on only where they should."""

from collections.abc import Iterator

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ResponseError,
)

from models import bundle, job_errors
from models import errors as domain
from models.errors import FeatureError, InsituError, RedisRefused
from models.redis_failures import redis_errors
from server import access
from server.access import Forbidden, NotAllowed, Unauthorized
from server.inference import errors as core
from server.resp.errors import BROKEN, WORDS, answer, text_of, word_of
from server.resp.refusals import Refused, refused

FAMILIES = (FeatureError,)
MODULES = {one.__name__ for one in (domain, bundle, job_errors, access, core)}


def every_error(root: type[InsituError] = InsituError) -> Iterator[type[InsituError]]:
    for one in root.__subclasses__():
        yield one
        yield from every_error(one)


def has_word(one: type[InsituError]) -> bool:
    return one in WORDS or any(family in one.__mro__ and family in WORDS for family in FAMILIES)


def read_by_redis_py(reply: bytes) -> Exception:
    return BaseParser.parse_error(reply[1:-2].decode())


def test_every_error_has_a_word_of_its_own_or_by_its_family() -> None:
    known = [one for one in every_error() if one.__module__ in MODULES and one is not NotAllowed]

    assert len(known) > 35
    assert [one.__name__ for one in known if not has_word(one)] == []


def test_words_are_of_capitals() -> None:
    assert all(word.isascii() and word.isalpha() and word.isupper() for word in WORDS.values())


def test_an_error_is_looked_up_by_its_nearest_ancestor() -> None:
    class OddKey(domain.KeyMissing):
        code = "odd_key"

    class Odd(InsituError):
        code = "odd"

    assert word_of(OddKey("customer:1")) == "NOTFOUND"
    assert word_of(domain.NotANumber("customer:1 age", "x", "float32")) == "BADVALUE"
    assert word_of(Odd("odd")) == "ERR"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (domain.RedisUnavailable("gone"), BusyLoadingError),
        (core.Stopping(), BusyLoadingError),
        (Unauthorized(given=False), AuthenticationError),
        (Unauthorized(given=True), AuthenticationError),
        (Forbidden("no"), NoPermissionError),
        (core.Overloaded("m", 5, 0.25), ResponseError),
        (domain.KeyMissing("customer:1"), ResponseError),
        (core.DeadlineExceeded(1.0), ResponseError),
    ],
)
def test_clients_read_an_error_as_what_it_means(error: InsituError, kind: type[Exception]) -> None:
    assert type(read_by_redis_py(answer(error))) is kind


def test_the_words_that_no_client_acts_on_reach_programs_as_they_are() -> None:
    read = read_by_redis_py(answer(domain.ModelNotFound("churn")))

    assert str(read).startswith("NOMODEL model 'churn' is not stored; ")


def test_a_full_queue_says_when_to_come_again() -> None:
    assert answer(core.Overloaded("m", 5, 0.25)) == (
        b"-BUSY m is busy (5 waiting) and takes no more; try again in 0.25 s\r\n"
    )


@pytest.mark.parametrize("given", [True, False])
def test_who_lacks_a_token_is_told_in_words_of_this_door(given: bool) -> None:
    assert text_of(Unauthorized(given=given)).startswith("NOAUTH ")
    assert "Bearer" not in text_of(Unauthorized(given=given))


def test_a_refusal_is_said_as_it_is() -> None:
    assert answer(refused("model key is empty")) == b"-ERR model key is empty\r\n"
    assert answer(Refused("Number of keys")) == b"-Number of keys\r\n"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", OutOfMemoryError),
        ("ERR no", ResponseError),
    ],
)
async def test_a_refusal_of_redis_keeps_the_word_that_clients_know(said: str, kind: type[Exception]) -> None:
    with pytest.raises(RedisRefused) as caught:
        async with redis_errors():
            raise BaseParser.parse_error(said)

    assert type(read_by_redis_py(answer(caught.value))) is kind


async def test_redis_refusing_this_server_does_not_ask_the_client_for_a_password() -> None:
    with pytest.raises(RedisRefused) as caught:
        async with redis_errors():
            raise BaseParser.parse_error("WRONGPASS invalid username-password pair")

    assert word_of(caught.value) == "ERR"


@pytest.mark.parametrize("said", ["ERR no such thing", "WRONGTYPE no", "NOPERM this user", "NOSCRIPT none"])
def test_an_error_of_redis_is_passed_on_word_for_word(said: str) -> None:
    assert text_of(BaseParser.parse_error(said)) == said


def test_a_fault_of_ours_is_not_told_to_callers(caplog: pytest.LogCaptureFixture) -> None:
    assert answer(ValueError("a password")) == f"-{BROKEN}\r\n".encode()
    assert "a command failed" in caplog.text


def test_an_error_has_one_line() -> None:
    assert answer(domain.BadRequest("a\nb\r\nc")) == b"-ERR a b  c\r\n"
