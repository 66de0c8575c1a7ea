"""docs/onnx-files.md: its network is exported as it says, and published with the view beside it."""

import re
import subprocess
import sys
from pathlib import Path

import onnxruntime as ort

from models.composing import Wording, compose_bundle
from models.features import FeatureView

PAGE = (Path(__file__).parents[3] / "docs" / "onnx-files.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_a_network_is_exported_and_fits_the_view_beside_it(tmp_path: Path) -> None:
    (code,), view = blocks("python"), FeatureView.parse(blocks("yaml")[0])

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=100)

    data = (tmp_path / "churn.onnx").read_bytes()
    manifest = compose_bundle(data, "churn", Wording(view, ["stays", "leaves"])).manifest
    assert (manifest.task, manifest.output, manifest.batching) == (
        "classification",
        "probabilities",
        "dynamic",
    )
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        (answer,) = session.run(None, {"numbers": [[41, 12.5]] * count, "plan": [[1]] * count})
        assert answer.shape == (count, 2)
