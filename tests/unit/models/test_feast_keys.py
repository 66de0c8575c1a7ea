"""Names of entities become the bytes of Feast's keys, and these become names again."""

from typing import Any

import pytest

from models.errors import BadFeatureView, InstanceIncomplete, KeyNotAllowed
from models.feast_errors import NotThisEntity
from models.feast_keys import EntityForm, EntityTemplate, feature_field, template_of, time_field
from models.features import FeatureView
from models.patterns import Pattern
from models.scanning import Search
from models.sources import FeastSource, HashSource
from models.templates import KeyTemplate
from tests.feast_store import hashes
from tests.unit.models.views import view

HASHES = hashes()
DRIVER = {"driver_id": "int64"}
BOTH = {"customer_id": "string", "driver_id": "int64"}


def source(view: str = "driver_profile", **facts: Any) -> FeastSource:
    return FeastSource.model_validate(
        {"as": "feast", "project": "probe_repo", "view": view, "fields": ["rating"], "entity": DRIVER} | facts
    )


@pytest.mark.parametrize(
    ("asked", "name", "wanted"),
    [
        (source(), "driver_id:1001", "driver_profile"),
        (source(), "driver_id:-1", "driver_hourly_stats"),
        (source(entity=BOTH), "customer_id:anna:driver_id:1001", "customer_driver"),
        (
            source(entity=dict(reversed(BOTH.items()))),
            "driver_id:1002:customer_id:größe 7",
            "customer_driver",
        ),
        (source(entity={"city_code": "int32"}), "city_code:-5", "city_traffic"),
        (source(entity={"day": "unix_timestamp"}), "day:1795348800", "day_sales"),
        (source("weather", entity={}), "weather", "weather"),
        (source(project="my_probe_repo"), "driver_id:1004", "driver_profile"),
        (source(project="old_repo", entity_key_serialization_version=2), "driver_id:1004", "driver_profile"),
        (
            source(project="old_repo", entity=BOTH, entity_key_serialization_version=2),
            "customer_id:anna:driver_id:1001",
            "customer_driver",
        ),
    ],
)
def test_a_name_is_the_key_that_feast_wrote_and_back(asked: FeastSource, name: str, wanted: str) -> None:
    template = EntityTemplate(asked)

    key = template.key(name)

    assert time_field(wanted) in HASHES[key]
    assert template.name(key) == name
    assert Pattern(template.pattern).matches(key)


def test_a_feature_is_at_the_field_that_feast_wrote() -> None:
    fields = HASHES[EntityTemplate(source()).key("driver_id:1001")]

    assert fields[feature_field("driver_profile", "age")] == b"\x20\x29"


def test_a_search_finds_the_entities_of_one_project_and_no_others() -> None:
    search = Search(source())
    assert isinstance(search.pattern, bytes)
    pattern = Pattern(search.pattern)

    found = search.names([key for key in HASHES if pattern.matches(key)])

    assert sorted(found) == [b"driver_id:%d" % one for one in (-1, 1001, 1002, 1003, 1004)]
    assert search.type == "hash"


def test_the_pattern_of_a_search_is_one_of_names() -> None:
    assert sorted(Search(source(), "driver_id:100[12]").names([*HASHES])) == [
        b"driver_id:1001",
        b"driver_id:1002",
    ]


def test_keys_of_text_are_found_under_their_own_names() -> None:
    hashed = HashSource.model_validate({"key": "p:{id}", "as": "hash", "fields": ["a"]})

    search = Search(hashed)

    assert (search.pattern, search.names([b"p:1"])) == ("p:*", [b"p:1"])
    assert Search(hashed, "p:1*").pattern == "p:1*"


def test_an_entity_whose_text_has_a_colon_has_a_name_that_no_caller_can_use() -> None:
    template = EntityTemplate(source(entity=BOTH))
    (key,) = (
        key
        for key in HASHES
        if b"a:b" in key
        and key.endswith(b"probe_repo")
        and key[0] == 2
        and key[4] == 2
        and template.name(key)
    )

    name = template.name(key)

    assert name == "customer_id:a:b:driver_id:1001"
    assert template.match(name) is None


PLAIN = EntityTemplate(source()).key("driver_id:1001")


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"driver_id:1001",
        PLAIN[:20],
        PLAIN[:24],
        PLAIN[:30],
        PLAIN + b"x",
        PLAIN.replace(b"\x04\x00\x00\x00\x08", b"\x03\x00\x00\x00\x08"),
        PLAIN.replace(b"\x04\x00\x00\x00\x08\x00\x00\x00", b"\x04\x00\x00\x00\x07\x00\x00\x00"),
        PLAIN.replace(b"\x04\x00\x00\x00\x08\x00\x00\x00", b"\x04\x00\x00\x00\xff\xff\xff\xff"),
    ],
)
def test_a_key_of_something_else_names_nothing(key: bytes) -> None:
    assert EntityTemplate(source()).name(key) is None


def test_a_text_that_is_not_utf_8_names_nothing() -> None:
    template = EntityTemplate(source(entity={"customer_id": "string"}))

    assert template.name(template.key("customer_id:ab").replace(b"ab", b"a\xff")) is None


@pytest.mark.parametrize(
    "text", ["abc", "01", "+1", "1.0", "-0", "1_000", "٣", "9223372036854775808", "1" * 25]
)
def test_a_value_of_another_type_is_refused_by_its_join_key(text: str) -> None:
    template = EntityTemplate(source())

    assert template.match(f"driver_id:{text}") is None
    assert not template.accepts_all(["driver_id:1", f"driver_id:{text}"])
    with pytest.raises(NotThisEntity) as asked:
        template.read(f"driver_id:{text}")
    with pytest.raises(InstanceIncomplete) as given:
        template.fill({"driver_id": text})

    assert str(asked.value).endswith(f"'driver_id' is {text!r}, which is no int64 as Feast writes it")
    assert (
        str(given.value) == f"'driver_id' is {text!r}, which is no int64, the type of that join key in Feast"
    )


def test_a_name_of_another_form_is_not_allowed() -> None:
    template = EntityTemplate(source())

    assert template.match("driver:1") is None
    with pytest.raises(KeyNotAllowed, match="does not match 'driver_id:"):
        template.read("driver:1")


def test_every_int32_has_a_name_and_nothing_beyond() -> None:
    template = EntityTemplate(source(entity={"city_code": "int32"}))

    assert template.accepts_all(["city_code:-2147483648", "city_code:2147483647"])
    assert not template.accepts_all(["city_code:2147483648"])


def test_commands_have_the_bytes_of_the_key() -> None:
    form = EntityForm(EntityTemplate(source()), "HMGET", b"\x00\r\n")

    assert form.of("driver_id:1001") == ("HMGET", PLAIN, b"\x00\r\n")
    assert form.encoded("driver_id:1001") == b"*3\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n$3\r\n\x00\r\n\r\n" % (
        len(PLAIN),
        PLAIN,
    )
    assert form.encoded_for(["driver_id:1001"] * 2) == [form.encoded("driver_id:1001")] * 2


def test_a_view_may_name_its_entities_otherwise() -> None:
    template = template_of(source(key="driver/{driver_id}"))

    assert isinstance(template, EntityTemplate)
    assert template.name(PLAIN) == "driver/1001"


def test_a_join_key_may_have_another_name_in_a_row() -> None:
    named = view(
        {"as": "feast", "project": "probe_repo", "view": "v", "fields": ["a"], "entity": BOTH,
         "join_key_map": {"driver_id": "a_driver"}},
        {"as": "feast", "project": "probe_repo", "view": "v", "fields": ["a"], "entity": DRIVER,
         "join_key_map": {"driver_id": "other"}},
    )  # fmt: skip
    first, second = map(template_of, named.keyed)

    assert first.text == "customer_id:{customer_id}:a_driver:{a_driver}"
    assert isinstance(first, EntityTemplate)
    assert first.key("customer_id:anna:a_driver:1001") in HASHES
    assert second.fill({"other": 7}) == "other:7"
    with pytest.raises(InstanceIncomplete, match="'other' is 'x', which is no int64"):
        second.fill({"other": "x"})
    assert FeatureView.model_validate_json(named.model_dump_json(by_alias=True)) == named


def test_a_pattern_has_no_wildcards_of_a_project() -> None:
    template = EntityTemplate(source(project="a*[b]?\\"))

    assert Pattern(template.pattern).matches(template.key("driver_id:1"))
    assert not Pattern(template.pattern).matches(EntityTemplate(source(project="aXbY")).key("driver_id:1"))


def refused(**facts: Any) -> str:
    given = {"as": "feast", "project": "p", "view": "v", "entity": DRIVER, "fields": ["a"]} | facts
    with pytest.raises(BadFeatureView) as caught:
        view(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"entity": {"driver_id": "int"}}, "'string', 'int32', 'int64' or 'unix_timestamp'"),
        ({"entity": ["driver_id"]}, "entity"),
        ({"entity": {"driver id": "int64"}}, "entity"),
        ({"entity": {f"k{at}": "int64" for at in range(17)}}, "entity"),
        ({"key": "driver:{id}"}, "has the placeholders id, the entity the join keys driver_id"),
        ({"key": "driver"}, "has the placeholders none, the entity the join keys driver_id"),
        (
            {"join_key_map": {"driver": "other"}},
            "join_key_map has driver, no join key of the entity: driver_id",
        ),
        (
            {"entity": {"a": "int64", "b": "int64"}, "join_key_map": {"a": "b"}},
            "'b:{b}:b:{b}' names a placeholder twice",
        ),
        ({"key": "driver:{x}:{x2}", "join_key_map": {"driver_id": "x"}}, "placeholders x, x2, the entity"),
        ({"key": "{driver_id}{x}"}, "nothing between"),
        ({"max_age_seconds": 0}, "max_age_seconds"),
        ({"entity_key_serialization_version": 1}, "entity_key_serialization_version"),
        ({"fields": []}, "fields"),
        ({"fields": ["a", "a"]}, "'a' is listed twice"),
        ({"fields": [{"name": "a", "shape": [2], "categories": ["x"]}]}, "takes no categories"),
        ({"time_field": "at"}, "time_field"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_at_its_place(facts: dict[str, Any], message: str) -> None:
    assert message in refused(**facts)


def test_a_view_without_an_entity_is_named_by_itself() -> None:
    (found,) = view({"as": "feast", "project": "p", "view": "a{b}", "fields": ["x"]}).keyed

    assert template_of(found).match("a{b}") == {}


def test_a_source_survives_its_stored_form() -> None:
    found = view({"as": "feast", "project": "p", "view": "v", "entity": BOTH, "fields": ["a"]})

    assert FeatureView.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_a_template_says_how_to_look_for_what_it_names() -> None:
    assert KeyTemplate("p:{id}").hint == "look with `redis-cli --scan --pattern 'p:*'`"
    assert EntityTemplate(source(entity=BOTH)).hint == (
        "Feast has written no such entity, join keys customer_id, driver_id of Feast project 'probe_repo'; "
        "look whether these are Feast's own"
    )
