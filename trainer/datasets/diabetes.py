"""Diabetes: ten measurements of a patient and how far the disease had gone a year later, in one hash."""

from collections.abc import Iterator

from sklearn.datasets import load_diabetes

from trainer.datasets.dataset import Dataset, Row, Stored


def rows() -> Iterator[Row]:
    """Give the patients in the order of the article's data, in its own units."""
    data = load_diabetes(scaled=False)
    for number, (values, target) in enumerate(zip(data.data.tolist(), data.target.tolist(), strict=True)):
        measured = dict(zip(data.feature_names, map(repr, values), strict=True))
        yield (Stored(f"diabetic:{number}", measured | {"progression": repr(target)}),)


DIABETES = Dataset(
    name="diabetes",
    description="442 patients with diabetes, 10 measurements and the progression of the disease after a year",
    attribution=(
        "B. Efron, T. Hastie, I. Johnstone and R. Tibshirani (2004), Least Angle Regression, "
        "Annals of Statistics 32 (2), 407-499, https://doi.org/10.1214/009053604000000067; as scikit-learn ships it"
    ),
    layout=("diabetic:{id}  hash: age, sex, bmi, bp and six serum values as decimal text, and progression",),
    count=442,
    rows=rows,
)
