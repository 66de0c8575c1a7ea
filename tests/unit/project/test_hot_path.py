"""What is compiled (setup.py): modules that exist, and whose classes nobody subclasses from outside of the list."""

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

import models
import server

ROOT = Path(__file__).parents[3]


def hot() -> list[str]:
    """Return the names of the modules that are compiled."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    (listed,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HOT"
    )
    folders: dict[str, str] = ast.literal_eval(listed)
    return [
        f"{folder.replace('/', '.')}.{name}" for folder, names in folders.items() for name in names.split()
    ]


def subclasses(of: type[object]) -> Iterator[type[object]]:
    """Return the classes that derive from one, and those that derive from them."""
    direct: list[type[object]] = type.__subclasses__(of)
    for one in direct:
        yield one
        yield from subclasses(one)


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The names of every module of the server, all of them imported."""
    for package in (models, server):
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if "ray" not in found.name:  # which a server need not have
                import_module(found.name)
    return {name for name in sys.modules if name.partition(".")[0] in {"models", "server"}}


def test_every_module_that_is_compiled_exists(loaded: set[str]) -> None:
    assert set(hot()) <= loaded


@pytest.mark.parametrize("name", hot())
def test_classes_of_a_compiled_module_are_subclassed_in_compiled_modules_alone(
    name: str, loaded: set[str]
) -> None:
    every: list[Any] = [found for _name, found in inspect.getmembers(import_module(name), inspect.isclass)]
    outside = {
        f"{sub.__module__}.{sub.__name__}"
        for own in every
        if own.__module__ == name
        for sub in subclasses(own)
        if sub.__module__ in loaded and sub.__module__ not in hot()
    }

    assert outside == set()
