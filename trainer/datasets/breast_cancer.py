"""Breast cancer Wisconsin (diagnostic): thirty measurements of a biopsy, in one hash a patient."""

from collections.abc import Iterator

from sklearn.datasets import load_breast_cancer

from trainer.datasets.dataset import Dataset, Row, Stored


def rows() -> Iterator[Row]:
    """Give the patients in the order of the archive."""
    data = load_breast_cancer()
    fields = [name.replace(" ", "_") for name in data.feature_names]
    for number, (values, target) in enumerate(zip(data.data.tolist(), data.target, strict=True)):
        measured = dict(zip(fields, map(repr, values), strict=True))
        yield (Stored(f"patient:{number}", measured | {"diagnosis": str(data.target_names[target])}),)


BREAST_CANCER = Dataset(
    name="breast_cancer",
    description="569 biopsies of breast tumours, 30 measurements of cell nuclei each, malignant or benign",
    attribution=(
        "W. Wolberg, O. Mangasarian, N. Street and W. Street (1993), Breast Cancer Wisconsin (Diagnostic). "
        "UCI Machine Learning Repository, https://doi.org/10.24432/C5DW2B, CC BY 4.0; as scikit-learn ships it"
    ),
    layout=("patient:{id}  hash: 30 measurements as decimal text (mean_radius, ...) and diagnosis",),
    count=569,
    rows=rows,
)
