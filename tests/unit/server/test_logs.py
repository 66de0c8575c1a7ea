"""Every log of the process is one line of one style on standard error."""

import json
import logging
from collections.abc import Iterator

import pytest

from server.logs import configure_logs

LOGGERS = ("", "uvicorn", "uvicorn.error", "uvicorn.access")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was."""
    before = {
        name: (one.handlers[:], one.level, one.propagate)
        for name in LOGGERS
        for one in [logging.getLogger(name)]
    }
    yield
    for name, (handlers, level, propagate) in before.items():
        one = logging.getLogger(name)
        one.handlers[:], one.level, one.propagate = handlers, level, propagate


def test_json_lines_survive_quotes_newlines_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")

    try:
        int('a "quote"\nand a line')
    except ValueError:
        logging.getLogger("server.app").exception('said "%s"', "yes\nno")

    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "server.app", 'said "yes\nno"')
    assert told["time"].endswith("+00:00")
    assert 'ValueError: invalid literal for int() with base 10: \'a "quote"' in told["exception"]


def test_text_has_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", "text")

    logging.getLogger("server.app").info("too little")
    logging.getLogger("uvicorn").warning("loud enough")

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING uvicorn: loud enough")


def test_the_life_cycle_lines_of_uvicorn_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "text")

    logging.getLogger("uvicorn.error").info("Started server process")

    assert capsys.readouterr().err == ""
