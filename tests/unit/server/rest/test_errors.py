"""The table error -> status: whole, and written the same way everywhere."""

import json
from collections.abc import Iterator

import pytest

from models import bundle
from models import errors as domain
from models.errors import FeatureError, InsituError
from server import access
from server.access import NotAllowed, Unauthorized
from server.inference import errors as core
from server.rest import refusals
from server.rest.errors import (
    PROTOCOL_STATUS,
    STATUS,
    answer,
    facts,
    headers_of,
    protocol_status_of,
    status_of,
)
from server.rest.refusals import Refusal

# Who may leave its status to an ancestor: a row's fault is 422 unless it says otherwise.
FAMILIES = (FeatureError,)
MODULES = {one.__name__ for one in (domain, bundle, access, core, refusals)}


def every_error(root: type[InsituError] = InsituError) -> Iterator[type[InsituError]]:
    for one in root.__subclasses__():
        yield one
        yield from every_error(one)


def has_status(one: type[InsituError]) -> bool:
    return one in STATUS or any(family in one.__mro__ and family in STATUS for family in FAMILIES)


def test_every_error_has_a_status_of_its_own_or_by_its_family() -> None:
    ours = [one for one in every_error() if one.__module__ in MODULES and one not in (NotAllowed, Refusal)]

    assert len(ours) > 35
    assert [one.__name__ for one in ours if not has_status(one)] == []


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [one.code for one in every_error() if one.__module__ in MODULES]

    assert sorted(codes) == sorted(set(codes))


def test_the_table_holds_nothing_but_errors_of_ours() -> None:
    assert all(issubclass(one, InsituError) for one in STATUS)
    assert all(400 <= status < 600 for status in STATUS.values())


def test_under_the_protocol_a_mistake_in_what_is_asked_is_400_and_nothing_else_changes() -> None:
    assert set(PROTOCOL_STATUS) <= set(STATUS)
    for one, status in STATUS.items():
        told = protocol_status_of(one.__new__(one))
        assert told == (400 if status == 422 or one in PROTOCOL_STATUS else status)
        assert (told >= 500) == (status >= 500)


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/models/m", "/v2/no/such\npath"])
def test_under_the_protocol_an_error_is_a_text(path: str) -> None:
    error = domain.FieldMissing("patient:17", "age")

    response = answer(error, path)

    assert response.status_code == 400
    assert json.loads(bytes(response.body)) == {"error": str(error)}


@pytest.mark.parametrize("path", ["", "/", "/v1/models/m", "/v22", "/docs"])
def test_elsewhere_an_error_has_its_code_and_facts(path: str) -> None:
    error = domain.FieldMissing("patient:17", "age")

    assert json.loads(bytes(answer(error, path).body)) == {"error": facts(error)}


def test_an_error_is_looked_up_by_its_nearest_ancestor() -> None:
    class OddKey(domain.KeyMissing):
        code = "odd_key"

    class OddRow(FeatureError):
        code = "odd_row"

    class Odd(InsituError):
        code = "odd"

    assert status_of(OddKey("k")) == 404
    assert status_of(OddRow("odd")) == 422
    assert status_of(Odd("odd")) == 500


def test_an_error_is_written_with_its_code_message_and_facts() -> None:
    error = domain.FieldMissing("patient:17", "age")

    response = answer(error)

    assert response.status_code == 404
    assert json.loads(bytes(response.body)) == {"error": facts(error)}
    assert facts(error) == {
        "code": "field_missing",
        "message": str(error),
        "key": "patient:17",
        "field": "age",
    }


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (core.Overloaded("m", 9, 1.2), {"Retry-After": "2"}),
        (core.Overloaded("m", 9, 0.01), {"Retry-After": "1"}),
        (domain.RedisUnavailable("gone"), {"Retry-After": "1"}),
        (refusals.NotReady("loading"), {"Retry-After": "1"}),
        (Unauthorized(given=False), {"WWW-Authenticate": 'Bearer realm="insitu"'}),
        (
            Unauthorized(given=True),
            {"WWW-Authenticate": 'Bearer realm="insitu", error="invalid_token"'},
        ),
        (refusals.MethodRefused("PUT", "/", "GET, HEAD"), {"Allow": "GET, HEAD"}),
        (domain.BadRequest("no"), {}),
    ],
)
def test_an_error_tells_a_client_what_to_do_next(error: InsituError, headers: dict[str, str]) -> None:
    assert headers_of(error) == headers
