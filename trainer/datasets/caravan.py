"""Caravan: who of an insurer's customers has a caravan policy; one hash a customer.

The data are for research and education that is not commercial, so they are not shipped here: they
are read from the package ISLP where somebody installed it.
"""

import csv
from collections.abc import Iterator

from trainer.datasets.dataset import Dataset, Row, Stored
from trainer.datasets.packages import data_file


def rows() -> Iterator[Row]:
    """Give the customers in the order of the file.

    Raises: DatasetNotInstalled.
    """
    path = data_file("caravan", "ISLP", "data", "Caravan.csv")
    with path.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.DictReader(file)):
            yield (Stored(f"customer:{number}", {name: value for name, value in line.items() if name}),)


CARAVAN = Dataset(
    name="caravan",
    description="5822 customers of an insurer, 85 facts each, 6% with a policy for a caravan",
    attribution=(
        "P. van der Putten and M. van Someren (2000), The Insurance Company Benchmark (COIL 2000), "
        "Sentient Machine Research; UCI Machine Learning Repository, https://doi.org/10.24432/C5630S; "
        "for research and education only, read from the Python package ISLP"
    ),
    layout=("customer:{id}  hash: 85 whole numbers (MOSTYPE, ...) and Purchase, Yes or No",),
    count=5822,
    rows=rows,
    package="ISLP",
)
