"""Trained networks are compared with scikit-learn on the rows that nobody has seen."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_networks_are_compared_with_scikit_learn(tmp_path: Path) -> None:
    command = ("-m", "benchmarks.skill", "--only", "breast_cancer", "--seeds", "1", "--out", str(tmp_path))

    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*-skill-part.json")
    (found,) = json.loads(file.read_text())["results"]
    assert set(found["means"]) == {
        "Insitu", "LogisticRegression", "MLPClassifier", "RandomForest", "HistGradientBoosting"
    }  # fmt: skip
    assert min(found["means"].values()) > 0.9
    assert "breast_cancer" in done.stdout
