"""HTML and SVG that is escaped by construction: text becomes markup only through `tag`."""

from collections.abc import Iterable
from html import escape
from math import isfinite
from typing import Any

VOID = ("br", "meta", "img")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | float | None | Iterable[Any]


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """Return an element; `class_` is class, `stroke_width` stroke-width, an attribute that is None is left out."""
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{inner(children)}</{name}>")


def inner(child: Child) -> str:
    """Return what stands between two tags: markup as it is, everything else escaped."""
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(child)
    if isinstance(child, int | float):
        return figure(child)
    return "".join(map(inner, child))


def figure(value: object) -> str:
    """Return a number as a person reads it: four digits, thousands apart."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not isfinite(value):
        return "none"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 else f"{value:.3g}"


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]], numbers_from: int = 1) -> Markup:
    """Return a table that scrolls by itself where it is too wide; the first column names its row."""
    titles = [
        tag("th", title, scope="col", class_="number" if at >= numbers_from else None)
        for at, title in enumerate(head)
    ]
    body = [tag("tr", cells(row, numbers_from)) for row in rows]
    return tag("div", tag("table", tag("thead", tag("tr", titles)), tag("tbody", body)), class_="wide")


def cells(row: Iterable[Child], numbers_from: int) -> list[Markup]:
    """Return the cells of one row."""
    return [
        tag("td", cell, class_="number" if at >= numbers_from else None)
        if at
        else tag("th", cell, scope="row")
        for at, cell in enumerate(row)
    ]


def section(title: str, *children: Child) -> Markup | None:
    """Return a chapter, None when there is nothing to tell in it."""
    content = [child for child in children if child]
    return tag("section", tag("h2", title), content) if content else None


def note(*text: Child) -> Markup:
    """Return a remark in small letters."""
    return tag("p", *text, class_="note")
