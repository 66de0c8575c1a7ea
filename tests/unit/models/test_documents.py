"""A YAML document is data with lines, and nothing that hides in YAML gets in."""

import re

import pytest

from models.documents import Document
from models.errors import BadRecipe

TEXT = """\
a: 1
b:
  - x
  - {c: 2, d: [3, 4]}
"""


def test_a_document_is_its_data() -> None:
    assert Document(TEXT, "f.yaml").data == {"a": 1, "b": ["x", {"c": 2, "d": [3, 4]}]}
    assert Document("", "f.yaml").data is None


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("a",), 1),
        (("b",), 2),
        (("b", 0), 3),
        (("b", 1, "d", 1), 4),
        (("b", "kind", 1), 4),
        (("z",), 1),
    ],
)
def test_every_part_knows_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert Document(TEXT, "f.yaml").line(path) == line


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: ]", "f.yaml, line 2: no YAML: "),
        ("a: 1\na: 2", "f.yaml, line 2: the key 'a' is given twice"),
        ("a:\n - {b: 1, b: 2}", "f.yaml, line 2: the key 'b' is given twice"),
        ("a: 1\n{b: 1}: 2", "f.yaml, line 2: "),
        ("a: &x 1\nb: *x", "f.yaml, line 2: the alias *x is not followed; write it out"),
        ("a: " + "[" * 33, "f.yaml, line 1: nested deeper than 32 levels"),
        ("!!bool maybe", "f.yaml, line 1: no YAML: "),
        ("a: !!timestamp noon", "f.yaml, line 1: no YAML: "),
        ("a: !!int ''", "f.yaml, line 1: no YAML: "),
        ("2020-13-45", "f.yaml, line 1: no YAML: month must be in 1..12"),
        ("x" * (1 << 20) + "x", "f.yaml, line 1: the file has more than 1,048,576 characters"),
    ],
    ids=range(11),
)
def test_what_yaml_would_let_pass_is_refused_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(BadRecipe, match=re.escape(fault)) as caught:
        Document(text, "f.yaml")

    assert caught.value.details["where"] == "f.yaml"
