"""Charts as inline SVG; colours come from the page's style sheet, so they follow light, dark and print."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from trainer.judging.sheets.markup import Markup, figure, tag

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 12, 38
TICKS_MOST = 6
DECADES_LINEAR = 1.3  # a curve that falls further is drawn over powers of ten

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, the class that colours it, its points, the radius of a dot for each if any."""

    name: str
    colour: str
    points: tuple[Point, ...]
    dots: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places along one side of a chart."""

    low: float
    high: float
    start: float
    stop: float
    powers: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value."""
        low, high, this = (log10(one) if self.powers else one for one in (self.low, self.high, value))
        share = (this - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.stop - self.start), 2)

    def ticks(self) -> list[float]:
        """Return values to write beside the scale."""
        if self.powers:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            there = [value for value in every if self.low <= value <= self.high]
            return there if len(there) <= TICKS_MOST else powers_of_ten(there)
        step = nice((self.high - self.low) / 4)
        first = ceil(self.low / step - 1e-9)
        return [round(number * step, 10) for number in range(first, floor(self.high / step + 1e-9) + 1)]


def powers_of_ten(values: Sequence[float]) -> list[float]:
    """Return those of the values that are powers of ten."""
    return [value for value in values if abs(log10(value) - round(log10(value))) < 1e-9]


def nice(step: float) -> float:
    """Return the step of a scale that reads well: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(step)) if step > 0 else 1.0
    return next((factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999), 10 * power)


def chart(
    lines: Sequence[Line], titles: tuple[str, str], mark: float | None = None, unit: bool = False
) -> Markup:
    """Draw curves over one another; `mark` is an upright line, `unit` fixes both sides to 0 to 1."""
    points = [point for line in lines for point in line.points]
    across, up = scales(points, unit)
    drawn = grid(across, up, titles)
    if unit:
        drawn.append(stroke([(0, 0), (1, 1)], across, up, "ideal"))
    if mark is not None:
        drawn.append(stroke([(mark, up.low), (mark, up.high)], across, up, "mark"))
    for line in lines:
        drawn.append(stroke(line.points, across, up, line.colour))
        drawn += [
            tag("circle", cx=across.at(x), cy=up.at(y), r=radius, class_=line.colour)
            for (x, y), radius in zip(line.points, line.dots, strict=False)
        ]
    legend = [tag("span", tag("i", class_=line.colour), line.name) for line in lines if line.name]
    said = ", ".join(line.name for line in lines if line.name)
    return tag(
        "figure",
        tag(
            "svg",
            drawn,
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=f"{titles[1]} over {titles[0]}" + (f": {said}" if said else ""),
        ),
        tag("figcaption", legend) if len(legend) > 1 or mark is not None else None,
    )


def scales(points: Sequence[Point], unit: bool) -> tuple[Scale, Scale]:
    """Return the scale along the bottom and the one along the left side."""
    if unit:
        ends = (0.0, 1.0, 0.0, 1.0)
        powers = False
    else:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        ends = (min(xs), max(xs), min(ys), max(ys))
        powers = ends[2] > 0 and log10(ends[3] / ends[2]) > DECADES_LINEAR
        if not powers:
            room = (ends[3] - ends[2]) * 0.05 or abs(ends[3]) * 0.1 or 1.0
            ends = (*ends[:2], ends[2] - room, ends[3] + room)
    return (
        Scale(ends[0], ends[1], LEFT, WIDTH - RIGHT),
        Scale(ends[2], ends[3], HEIGHT - BOTTOM, TOP, powers),
    )


def grid(across: Scale, up: Scale, titles: tuple[str, str]) -> list[Markup]:
    """Draw the scales with their values and titles."""
    drawn = []
    for value in up.ticks():
        y = up.at(value)
        drawn.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", figure(value), x=LEFT - 7, y=y + 4, text_anchor="end"))
    drawn += [
        tag("text", figure(value), x=across.at(value), y=HEIGHT - BOTTOM + 16, text_anchor="middle")
        for value in across.ticks()
    ]
    base = HEIGHT - BOTTOM
    drawn.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(tag("text", titles[0], x=middle, y=HEIGHT - 5, text_anchor="middle", class_="title"))
    turned = f"rotate(-90 12 {(TOP + base) / 2})"
    drawn.append(
        tag(
            "text",
            titles[1],
            x=12,
            y=(TOP + base) / 2,
            text_anchor="middle",
            transform=turned,
            class_="title",
        )
    )
    return drawn


def stroke(points: Sequence[Point], across: Scale, up: Scale, colour: str) -> Markup:
    """Draw one line."""
    path = " ".join(f"{across.at(x):g},{up.at(y):g}" for x, y in points)
    return tag("polyline", points=path, class_=colour)


def bars(values: Sequence[tuple[str, float]], written: Callable[[float], str]) -> Markup:
    """Draw numbers as bars, each beside its name: HTML, so that long names wrap."""
    most = max((abs(value) for _, value in values), default=0) or 1.0
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", bar(abs(value) / most), class_="bar"),
            tag("td", written(value), class_="number"),
        )
        for name, value in values
    ]
    return tag("div", tag("table", tag("tbody", rows), class_="bars"), class_="wide")


def bar(share: float) -> Markup:
    """Draw one bar over its share of the width."""
    box = tag("rect", x=0, y=0, width=round(100 * share, 2), height=10, class_="first")
    return tag("svg", box, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")


def span(low: float, value: float, high: float, ends: tuple[float, float]) -> Markup:
    """Draw an interval and the value in it over a scale that several rows share."""
    scale = Scale(ends[0], ends[1], 3, 97)
    return tag(
        "svg",
        tag("line", x1=3, x2=97, y1=6, y2=6, class_="grid"),
        tag("line", x1=scale.at(low), x2=scale.at(high), y1=6, y2=6, class_="range"),
        tag("circle", cx=scale.at(value), cy=6, r=3, class_="first"),
        viewBox="0 0 100 12",
        class_="span",
        aria_hidden="true",
    )
