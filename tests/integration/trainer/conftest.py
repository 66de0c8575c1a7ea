"""Every test here trains small networks."""

import pytest


@pytest.fixture(autouse=True)
def _training(training: None) -> None:
    """See tests/conftest.py."""
