"""Handwritten digits: small grey images as raw bytes, each label in a hash beside its image."""

from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_digits

from trainer.datasets.dataset import Dataset, Row, Stored


def rows() -> Iterator[Row]:
    """Give the images in the order of the archive."""
    data = load_digits()
    images = data.images.astype(np.uint8)
    for number, (image, target) in enumerate(zip(images, data.target, strict=True)):
        yield (
            Stored(f"digit:{number}", image.tobytes()),
            Stored(f"digit:{number}:meta", {"label": str(target)}),
        )


DIGITS = Dataset(
    name="digits",
    description="1797 handwritten digits, 8x8 pixels of grey values 0 to 16",
    attribution=(
        "E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits. "
        "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0; as scikit-learn ships it"
    ),
    layout=(
        "digit:{id}       string: 64 bytes, 8 rows of 8 grey values (uint8)",
        "digit:{id}:meta  hash: label, 0 to 9",
    ),
    count=1797,
    rows=rows,
)
