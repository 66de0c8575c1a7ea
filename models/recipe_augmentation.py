"""The augment section of a recipe: how training rows are altered each time they are seen.

augment: {image: {shift: 1, rotate: 10, noise: 0.05}, series: {jitter: 0.05, crop: 0.8}}
"""

from typing import Annotated, Literal

from pydantic import Field

from models.layers.layer import Number
from models.recipe_sections import Section, Whole

Spread = Annotated[Number, Field(ge=0, le=10)]


class ImageAugmentation(Section):
    """For every input that is an image; each row is drawn anew."""

    shift: Annotated[Whole, Field(ge=0, le=1024)] = 0
    """Pixels by which an image moves at most, along each side."""
    rotate: Annotated[Number, Field(ge=0, le=180)] = 0.0
    """Degrees by which it turns at most, to either side."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Mirrors half of the images."""
    noise: Spread = 0.0
    """Normal noise added to every pixel, in standard deviations of the training pixels."""
    fill: Literal["edge", "zero"] = "edge"
    """What comes in from outside: the pixel at the edge, or zero."""


class SeriesAugmentation(Section):
    """For every input that is a sequence; each row is drawn anew."""

    jitter: Spread = 0.0
    """Normal noise added to every step, in standard deviations of each channel."""
    scale: Spread = 0.0
    """Standard deviation of a factor around 1 for each channel of a row."""
    crop: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Least share of the steps that is kept, in one piece; where all rows are of one length it is stretched."""
    shift: Annotated[Whole, Field(ge=0, le=65_536)] = 0
    """Steps by which a row moves at most; the step at the end is repeated."""


class Augmentation(Section):
    """What is done to the training rows, and to them only."""

    image: ImageAugmentation = ImageAugmentation()
    series: SeriesAugmentation = SeriesAugmentation()
