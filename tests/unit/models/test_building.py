"""Which code runs is known: Python, or C where `make test-compiled` names the folder of compiled packages."""

import pytest

from models.building import is_compiled


def test_code_is_compiled_where_the_run_is_about_that(pytestconfig: pytest.Config) -> None:
    paths = pytestconfig.getini("pythonpath")

    assert is_compiled() is any(str(path).endswith("build/compiled") for path in paths)
