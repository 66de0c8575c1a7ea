"""Ways of asking give the plan what its own way gives, and are given up where they cost more."""

from typing import Any

import pytest
from redis.exceptions import ResponseError

from models.assembly import Plan, Prepared
from models.encoding import encoded
from models.errors import RedisUnavailable
from models.features import FeatureView
from models.vector_blocks import TOGETHER_KEYS
from models.ways import LEAST_FIELDS, ODD_ROWS, ODD_SHARE, PROBES, UNWANTED_BYTES, Way, Ways

FIELDS = [f"f{at}" for at in range(LEAST_FIELDS)]
VALUES = [b"%d" % at for at in range(LEAST_FIELDS)]
HELD = [part for name, value in zip(FIELDS, VALUES, strict=True) for part in (name.encode(), value)]
MOST = LEAST_FIELDS * 3 // 2
OTHERS = [b"other"] * 2 * MOST  # as many fields as are asked for, none of which is wanted
HASH = {"key": "h:{id}", "as": "hash", "fields": FIELDS}
VECTOR = {"key": "v:{id}", "as": "vector", "shape": [2]}
NOTHING = [None] * LEAST_FIELDS


def compiled(*sources: dict[str, Any]) -> Plan:
    return Plan(FeatureView.read({"inputs": [{"name": "x", "sources": [*sources]}]}))


def prepared(plan: Plan, count: int) -> Prepared:
    return plan.prepare([{"id": at} for at in range(count)])


def keyed(plan: Plan, count: int) -> Prepared:
    kind = plan.templates[0].text[0]
    return plan.prepare_keys([f"{kind}:{at}" for at in range(count)])


def way_of(ways: Ways, rows: Prepared, together: bool = True) -> Way:
    way = ways.of(rows, together)
    assert way is not None
    return way


def seen(plan: Plan, *replies: Any) -> Ways:
    """Return ways that have seen these, or enough small hashes of each source."""
    ways = Ways(plan)
    for at in [*ways.unseen]:
        for reply in replies or [HELD] * PROBES:
            ways.saw(at, reply)
    return ways


def test_wide_hashes_are_asked_for_whole_once_some_were_seen() -> None:
    rows = keyed(plan := compiled(HASH), 2)
    ways = seen(plan, *[HELD] * (PROBES - 1))
    assert ways.of(rows, True) is None
    assert ways.probe(rows) == ([0], [encoded(("HRANDFIELD", "h:0", MOST, "WITHVALUES"))])
    ways.saw(0, HELD)

    way = way_of(ways, rows)

    assert not ways.unseen
    assert way.commands(rows) == [encoded(("HRANDFIELD", key, MOST, "WITHVALUES")) for key in ("h:0", "h:1")]
    assert way.read(rows, [HELD, []]) == ([VALUES, NOTHING], [])


def test_hashes_of_few_fields_are_asked_for_by_field() -> None:
    assert not Ways(compiled({**HASH, "fields": FIELDS[1:]})).unseen


@pytest.mark.parametrize("reply", [[], None, ResponseError("WRONGTYPE of a key"), RedisUnavailable("gone")])
def test_keys_that_are_no_hashes_say_nothing_of_hashes(reply: Any) -> None:
    ways = seen(compiled(HASH), *[reply] * PROBES, *[HELD] * PROBES)

    assert not ways.unseen


@pytest.mark.parametrize("heavy", [OTHERS, [*HELD, b"blob", b"x" * (UNWANTED_BYTES + 1)]])
def test_hashes_that_hold_much_more_are_asked_for_by_field(heavy: list[bytes]) -> None:
    ways = seen(plan := compiled(HASH), *([HELD] * (PROBES - 1) + [heavy]) * 4)

    assert ways.of(keyed(plan, 1), True) is None


def test_fields_of_many_bytes_that_are_wanted_are_no_reason_against_it() -> None:
    large = [part for name in FIELDS for part in (name.encode(), b"1" * UNWANTED_BYTES)]
    ways = seen(plan := compiled(HASH), *[[*large, b"other", b"1"]] * PROBES)

    assert ways.of(keyed(plan, 1), True) is not None


def test_only_wide_hashes_among_several_sources_are_asked_for_whole() -> None:
    few = {"key": "few:{id}", "as": "hash", "fields": ["a"]}
    rows = prepared(plan := compiled(VECTOR, HASH, few), 3)
    way = way_of(seen(plan), rows)

    names = [command.split(b"\r\n")[2] for command in way.commands(rows)]
    replies, again = way.read(rows, [b"vector", HELD, [b"1"], None, [], [None], b"other", OTHERS, [b"2"]])

    assert names == [b"GET", b"HRANDFIELD", b"HMGET"] * 3
    assert replies[:6] == [b"vector", VALUES, [b"1"], None, NOTHING, [None]]
    assert again == [2]
    asked = [command.split(b"\r\n")[2] for command in rows.encoded_rows(again)]
    assert asked == [b"GET", b"HMGET", b"HMGET"]


def test_each_source_is_looked_at_by_itself() -> None:
    plan = compiled(HASH, {**HASH, "key": "o:{id}"})
    ways, rows = Ways(plan), prepared(plan, 1)
    places, commands = ways.probe(rows)
    assert places == [0, 1]
    assert [command.split(b"\r\n")[4] for command in commands] == [b"h:0", b"o:0"]
    for _ in range(PROBES):
        ways.saw(0, HELD)
        ways.saw(1, [])

    names = [command.split(b"\r\n")[2] for command in way_of(ways, rows).commands(rows)]

    assert names == [b"HRANDFIELD", b"HMGET"]
    assert ways.probe(rows)[0] == [1]


def test_a_long_hash_is_asked_for_by_field() -> None:
    rows = keyed(plan := compiled(HASH), 3)

    replies, again = way_of(ways := seen(plan), rows).read(rows, [HELD, OTHERS, HELD])

    assert (replies[0], replies[2], again) == (VALUES, VALUES, [1])
    assert rows.encoded_rows(again) == [encoded(("HMGET", "h:1", *FIELDS))]
    assert ways.of(rows, True) is not None


def test_hashes_are_asked_for_by_field_where_many_hold_much_more() -> None:
    rows = keyed(plan := compiled(HASH), ODD_ROWS)
    ways = seen(plan)
    few = [OTHERS] * (ODD_ROWS // ODD_SHARE)

    way_of(ways, rows).read(rows, few + [HELD] * (ODD_ROWS - len(few)))
    assert ways.of(rows, True) is not None
    way_of(ways, rows).read(rows, [OTHERS] * ODD_ROWS)

    assert ways.of(rows, True) is None


@pytest.mark.parametrize("how", ["bytes", "lost"])
def test_after_a_doubt_twice_as_many_hashes_are_seen(how: str) -> None:
    rows = keyed(plan := compiled(HASH), 1)
    ways = seen(plan)
    way = way_of(ways, rows)

    if how == "lost":
        way.lost()
        way.lost()  # others had asked so meanwhile
    else:
        way.read(rows, [[*HELD, b"blob", b"x" * (UNWANTED_BYTES + 1)]])

    for _ in range(2 * PROBES):
        assert ways.of(rows, True) is None
        ways.saw(0, HELD)
    assert ways.of(rows, True) is not None


def test_a_redis_without_the_command_is_asked_as_the_plan_says() -> None:
    rows = keyed(plan := compiled(HASH), 2)
    unknown = ResponseError("ERR unknown command 'HRANDFIELD'")
    ways = seen(plan)

    _, again = way_of(ways, rows).read(rows, [unknown] * 2)

    assert [*again] == [0, 1]
    assert ways.of(rows, True) is None
    assert not ways.unseen
    assert not seen(plan, unknown).unseen


def test_a_key_of_another_type_or_a_node_that_is_away_is_its_own_affair() -> None:
    rows = keyed(plan := compiled(HASH), 3)
    ways = seen(plan)
    wrong = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    away = RedisUnavailable("gone")

    assert way_of(ways, rows).read(rows, [wrong, HELD, away]) == ([wrong, VALUES, away], [])
    assert ways.of(rows, True) is not None


def test_vectors_are_asked_for_together() -> None:
    plan = compiled(VECTOR)
    ways, rows = Ways(plan), keyed(plan, TOGETHER_KEYS + 1)
    way = way_of(ways, rows)

    commands = way.commands(rows)

    assert commands == [
        encoded(("MGET", *[f"v:{at}" for at in range(TOGETHER_KEYS)])),
        encoded(("MGET", f"v:{TOGETHER_KEYS}")),
    ]
    assert way.read(rows, [[b"a"] * TOGETHER_KEYS, [b"b"]]) == ([b"a"] * TOGETHER_KEYS + [b"b"], ())


def test_vectors_are_asked_for_one_by_one_where_that_is_all_there_is() -> None:
    plan = compiled(VECTOR)
    large = compiled({**VECTOR, "shape": [1 << 20]})

    assert Ways(plan).of(keyed(plan, 1), True) is None
    assert Ways(plan).of(keyed(plan, 2), False) is None
    assert Ways(large).of(keyed(large, 2), True) is None


def test_what_mget_says_nothing_of_is_asked_for_again() -> None:
    ways, rows = Ways(plan := compiled(VECTOR)), keyed(compiled(VECTOR), 3)

    assert way_of(ways, rows).read(rows, [[b"a", None, b""]]) == ([b"a", None, b""], [1])
    assert rows.encoded_rows([1]) == [encoded(("GET", "v:1"))]
    assert ways.of(keyed(plan, 2), True) is not None


@pytest.mark.parametrize(
    ("requests", "kept"),
    [
        ([(ODD_ROWS, ODD_ROWS // ODD_SHARE)], True),
        ([(ODD_ROWS, ODD_ROWS // ODD_SHARE + 1)], False),
        ([(2, 1)] * (ODD_ROWS // 2 - 1), True),
        ([(2, 1)] * (ODD_ROWS // 2), False),
        ([(ODD_ROWS, 0)] * 2 + [(ODD_ROWS, ODD_ROWS // ODD_SHARE + 1)], True),
        ([(ODD_ROWS, 0)] * 1000 + [(ODD_ROWS, ODD_ROWS)] * 2, False),
    ],
)
def test_mget_is_given_up_where_many_keys_are_absent(requests: list[tuple[int, int]], kept: bool) -> None:
    plan = compiled(VECTOR)
    ways = Ways(plan)
    way = way_of(ways, keyed(plan, 2))

    for count, absent in requests:
        way.read(keyed(plan, count), [[None] * absent + [b"a"] * (count - absent)])

    assert (ways.of(keyed(plan, 2), True) is not None) is kept


def test_a_redis_without_mget_is_asked_as_the_plan_says() -> None:
    ways, rows = Ways(plan := compiled(VECTOR)), keyed(compiled(VECTOR), 2)

    _, again = way_of(ways, rows).read(rows, [ResponseError("CROSSSLOT Keys in request don't hash")])

    assert [*again] == [0, 1]
    assert ways.of(keyed(plan, 2), True) is None
