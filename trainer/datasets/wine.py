"""Wine recognition: the chemistry of wines of three growers, in one hash a bottle."""

from collections.abc import Iterator

from sklearn.datasets import load_wine

from trainer.datasets.dataset import Dataset, Row, Stored


def rows() -> Iterator[Row]:
    """Give the wines in the order of the archive."""
    data = load_wine()
    fields = ["od280_od315" if name.startswith("od280") else name for name in data.feature_names]
    for number, (values, target) in enumerate(zip(data.data.tolist(), data.target, strict=True)):
        measured = dict(zip(fields, map(repr, values), strict=True))
        yield (Stored(f"wine:{number}", measured | {"grower": str(target + 1)}),)


WINE = Dataset(
    name="wine",
    description="178 Italian wines of three growers, 13 constituents each",
    attribution=(
        "S. Aeberhard and M. Forina (1992), Wine. UCI Machine Learning Repository, "
        "https://doi.org/10.24432/C5PC7J, CC BY 4.0; as scikit-learn ships it"
    ),
    layout=("wine:{id}  hash: 13 constituents as decimal text (alcohol, ...) and grower, 1 to 3",),
    count=178,
    rows=rows,
)
