"""A key template makes keys and reads them; nothing gets past its placeholders."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadFeatureView, InstanceIncomplete, KeyNotAllowed
from models.templates import KEY_LIMIT_BYTES, MANY, KeyTemplate

NAMES = ("id", "customer_id", "day", "_x1")
CHARACTERS = st.characters(exclude_characters=":\x00", exclude_categories=["Cs"])
VALUES = st.text(CHARACTERS, min_size=1, max_size=12)
LITERALS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
ANY_TEXT = st.text(st.characters(), max_size=40)


def braced(literal: str) -> str:
    return literal.replace("{", "{{").replace("}", "}}")


@st.composite
def templates(draw: st.DrawFn) -> KeyTemplate:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    text = braced(draw(LITERALS))
    for name in names:
        text += f"{{{name}}}" + braced(draw(LITERALS))
    return KeyTemplate(text)


@pytest.mark.parametrize(
    ("template", "key", "values"),
    [
        ("patient:{id}", "patient:17", {"id": "17"}),
        ("patient:{id}", "patient:a b*?", {"id": "a b*?"}),
        ("customer:{id}:ref", "customer:ü{}:ref", {"id": "ü{}"}),
        ("{a}:{b}", "1:2", {"a": "1", "b": "2"}),
        ("cell:{row}-{column}", "cell:1-2-3", {"row": "1", "column": "2-3"}),
        ("{{tag}}:{id}", "{tag}:9", {"id": "9"}),
        ("config", "config", {}),
        ("a.b:{id}", "a.b:1", {"id": "1"}),
        ("user-{id}-x", "user-1-x-x", {"id": "1-x"}),
        ("{id}\n", "1\n", {"id": "1"}),
    ],
)
def test_a_key_of_the_template_gives_its_placeholders(
    template: str, key: str, values: dict[str, str]
) -> None:
    assert KeyTemplate(template).match(key) == values
    assert KeyTemplate(template).read(key) == values


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("patient:{id}", "patient:"),
        ("patient:{id}", "patient:17:notes"),
        ("patient:{id}", "Patient:17"),
        ("patient:{id}", " patient:17"),
        ("patient:{id}", "patient:1\x007"),
        ("patient:{id}", "patient:\ud800"),
        pytest.param("patient:{id}", "x" * 2_000_000, id="2 MB"),
        pytest.param("patient:{id}", "patient:" + "ü" * 1000, id="2 kB of UTF-8"),
        ("a.b:{id}", "axb:1"),
        ("config", "config2"),
        ("{id}", "1\n:"),
        ("cell:{row}-{column}", "cell:-2"),
        ("cell:{row}-{column}", "cell:12"),
    ],
)
def test_any_other_key_is_refused(template: str, key: str) -> None:
    assert KeyTemplate(template).match(key) is None
    with pytest.raises(KeyNotAllowed, match="the only keys this model reads"):
        KeyTemplate(template).read(key)


@given(template=templates(), data=st.data())
def test_filling_and_matching_are_each_others_inverse(template: KeyTemplate, data: st.DataObject) -> None:
    values = {name: data.draw(VALUES, name) for name in template.placeholders}
    try:
        key = template.fill(values)
    except InstanceIncomplete:  # the value holds the text that ends it
        return

    assert template.match(key) == values


@given(template=templates(), key=ANY_TEXT)
def test_a_key_that_matches_is_made_again_by_its_own_values(template: KeyTemplate, key: str) -> None:
    values = template.match(key)

    if values is not None:
        assert template.fill(values) == key


@given(template=templates(), key=ANY_TEXT | st.none() | st.integers() | st.binary(max_size=5), data=st.data())
def test_a_template_accepts_only_keys_that_it_matches(
    template: KeyTemplate, key: Any, data: st.DataObject
) -> None:
    filled = template.text.format(**{name: data.draw(VALUES) for name in template.placeholders})

    matches = isinstance(key, str) and template.match(key) is not None
    assert template.accepts_all([filled]) == (template.match(filled) is not None)
    assert template.accepts_all([filled, key]) == (template.accepts_all([filled]) and matches)
    assert template.accepts_all([key, *[filled] * MANY, key]) == template.accepts_all([filled, key])


def test_a_template_finds_the_first_key_of_its_form() -> None:
    template = KeyTemplate("k:{id}")

    assert template.accepting(["score:k:1", "k:", "k:7", "k:8"]) == "k:7"
    assert template.accepting(["score:k:1", "k:1:2"]) is None
    assert template.accepting([]) is None


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("x" * 254, True),
        ("\U0001f600" * 254, True),  # 1018 bytes
        ("x" * 255, False),  # may be too long, and is looked at by itself
        ("x" * 1100, False),
        ("\ud800", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_a_template_accepts_short_keys_without_a_closer_look(value: str, accepted: bool) -> None:
    template = KeyTemplate("k:{id}")

    assert template.accepts_all([f"k:{value}"]) is accepted
    assert not accepted or template.match(f"k:{value}") == {"id": value}


@given(first=templates(), other=templates(), data=st.data())
def test_what_one_key_gives_never_reaches_beyond_the_segments_of_another_template(
    first: KeyTemplate, other: KeyTemplate, data: st.DataObject
) -> None:
    try:
        key = first.fill({name: data.draw(VALUES, name) for name in first.placeholders})
        values = first.read(key)
        reached = other.fill(values)
    except InstanceIncomplete:
        return

    assert reached.count(":") == other.text.count(":")
    assert other.match(reached) is not None


@given(first=VALUES, second=VALUES)
def test_two_placeholders_in_one_segment_have_one_reading(first: str, second: str) -> None:
    template = KeyTemplate("cell:{row}-{column}")

    if "-" in first:
        with pytest.raises(InstanceIncomplete, match="two readings"):
            template.fill({"row": first, "column": second})
    else:
        assert template.match(template.fill({"row": first, "column": second})) == {
            "row": first,
            "column": second,
        }


def test_a_text_that_overlaps_the_end_of_its_value_is_refused() -> None:
    with pytest.raises(InstanceIncomplete, match="two readings"):
        KeyTemplate("{a}xx{b}").fill({"a": "ax", "b": "b"})


def test_matching_a_hostile_key_takes_no_time_to_speak_of() -> None:
    template = KeyTemplate("-".join(f"{{p{number}}}" for number in range(60)) + ":{last}!")
    started = time.process_time()

    for key in ("-" * 1024, "a-" * 512, "a" * 1024, ("a-" * 500) + "a:b"):
        assert template.match(key) is None

    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("value", "text"), [("17", "17"), (17, "17"), (-3, "-3"), (2**200, str(2**200)), ("a/b {c}", "a/b {c}")]
)
def test_a_placeholder_takes_text_and_integers(value: object, text: str) -> None:
    assert KeyTemplate("k:{id}").fill({"id": value}) == f"k:{text}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a:b",
        ":",
        "a\x00",
        "\ud800",
        None,
        True,
        False,
        1.5,
        1.0,
        b"17",
        ["17"],
        {"a": 1},
        pytest.param(10**5000, id="huge integer"),
        object(),
    ],
)
def test_a_placeholder_takes_nothing_else(value: object) -> None:
    with pytest.raises(InstanceIncomplete, match=r"'id' is .*; a placeholder of 'k:{id}' takes a text"):
        KeyTemplate("k:{id}").fill({"id": value})


def test_a_missing_placeholder_is_named_with_the_template() -> None:
    with pytest.raises(InstanceIncomplete, match=r"gives no 'customer_id', which 'c:{customer_id}' needs"):
        KeyTemplate("c:{customer_id}").fill({"id": 1})


@pytest.mark.parametrize("value", ["x" * KEY_LIMIT_BYTES, "ü" * 600], ids=["ASCII", "UTF-8"])
def test_a_key_over_the_limit_is_refused(value: str) -> None:
    with pytest.raises(InstanceIncomplete, match=f"bytes, over {KEY_LIMIT_BYTES}"):
        KeyTemplate("k:{id}").fill({"id": value})


def test_the_longest_key_that_is_made_is_also_read() -> None:
    value = "x" * (KEY_LIMIT_BYTES - 2)

    assert KeyTemplate("k:{id}").match(KeyTemplate("k:{id}").fill({"id": value})) == {"id": value}


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("", "is no key"),
        ("k:{id", "'{id' is no placeholder"),
        ("k:}", "'}' is no placeholder"),
        ("k:{}", "'{}' is no placeholder"),
        ("k:{0}", "is no placeholder"),
        ("k:{a.b}", "is no placeholder"),
        ("k:{a[0]}", "is no placeholder"),
        ("k:{id!r}", "is no placeholder"),
        ("k:{id:>3}", "is no placeholder"),
        ("k:{id:}", "is no placeholder"),
        ("k:{ id }", "is no placeholder"),
        ("k:{ä}", "is no placeholder"),
        ("k:{id}:{id}", "names a placeholder twice"),
        ("k:{a}{b}", "nothing between {a} and {b}"),
        ("k:\ud800{id}", "is no key"),
        pytest.param("k" * 1025, "is no key", id="too long"),
        pytest.param("ü" * 600, "is no key", id="too many bytes"),
    ],
)
def test_a_malformed_template_is_refused_at_its_place(template: str, fault: str) -> None:
    with pytest.raises(BadFeatureView, match=re.escape(fault)):
        KeyTemplate(template)


@pytest.mark.parametrize(
    ("template", "glob"),
    [
        ("patient:{id}", "patient:*"),
        ("a*b?[c]\\:{id}:x", r"a\*b\?\[c\]\\:*:x"),
        ("config", "config"),
        ("{{tag}}:{a}-{b}", "{tag}:*-*"),
    ],
)
def test_a_template_as_a_scan_pattern_escapes_what_redis_reads_as_a_wildcard(
    template: str, glob: str
) -> None:
    assert KeyTemplate(template).glob == glob


def test_placeholders_are_listed_in_order() -> None:
    assert KeyTemplate("{b}:x:{a}").placeholders == ("b", "a")


def test_keys_are_accepted_one_by_one_whatever_lies_between_them() -> None:
    template = KeyTemplate("{a}x")

    assert template.accepts_all(["foox", "barx"])
    assert not template.accepts_all(["foo", "barx"])
    assert template.accepts_all(["foo\nbarx"])
    assert not template.accepts_all(["foox\nbar", "x"])
