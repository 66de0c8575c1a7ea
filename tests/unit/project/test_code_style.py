"""The rules of the house that no linter has: sizes, names, silent packages, reasons for exceptions."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("models", "trainer", "server", "cli")
FUNCTION_LINES = 40
MODULE_LINES = 400
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
VAGUE_NAMES = {"utils", "helpers", "common", "base", "manager", "misc", "core"}
# A code and, behind a second comment or a dash, a reason.
EXCEPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b")
EXPLAINED = re.compile(r"#\s*(?:noqa:\s*[A-Z]+\d+|type:\s*ignore\[[\w, -]+\]).*?\s+(?:#|-|because)\s*\w+")


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature, its docstring and the functions it defines, counted on their own."""
    first = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    inner = [node for node in function.body if isinstance(node, FUNCTIONS)]
    return span(first[0], function) - sum(span(node, node) for node in inner)


def span(first: ast.stmt, last: ast.stmt) -> int:
    """Lines from where one statement begins, decorators and all, to where another ends."""
    decorators = first.decorator_list if isinstance(first, FUNCTIONS) else []
    begin = min([first.lineno, *(decorator.lineno for decorator in decorators)])
    return (last.end_lineno or begin) - begin + 1


def test_no_function_is_longer_than_a_page() -> None:
    long = [
        f"{named(path)}:{node.lineno} {node.name}: {body_lines(node)} lines"
        for path in modules(*PACKAGES, "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, FUNCTIONS) and body_lines(node) > FUNCTION_LINES
    ]

    assert long == []


def test_no_module_has_grown_into_several() -> None:
    large = {named(path): len(path.read_text().splitlines()) for path in modules(*PACKAGES)}

    assert {name: lines for name, lines in large.items() if lines > MODULE_LINES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {
        part
        for path in modules(*PACKAGES, "tests")
        for part in (*path.relative_to(ROOT).parts[:-1], path.stem)
    }

    assert parts & VAGUE_NAMES == set()


def test_a_package_file_holds_a_docstring_and_nothing_else() -> None:
    for path in modules(*PACKAGES):
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text())

            assert ast.get_docstring(tree), named(path)
            assert len(tree.body) == 1, named(path)


def test_every_exception_from_a_rule_names_the_rule_and_the_reason() -> None:
    bare = [
        f"{named(path)}:{token.start[0]} {token.string}"
        for path in modules(*PACKAGES, "tests")
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.COMMENT
        and EXCEPTION.search(token.string)
        and not EXPLAINED.search(token.string)
    ]

    assert bare == []
