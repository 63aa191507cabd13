"""Plots of a figure against the number of connections, as SVG; nothing but the standard library."""

from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 780, 420
# The right has room for the names of the lines: at this size a letter is 8 pixels wide at most, on average.
LEFT, RIGHT, TOP, BOTTOM = 80, 250, 44, 52
# Told apart by people who don't see red and green (Okabe and Ito), and by their markers.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]


def nice(value: float) -> str:
    """A number in as few characters as a tick has room for."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


class Axis:
    """Maps values to pixels, on a logarithmic scale or a linear one from 0."""

    def __init__(self, values, begin: float, end: float, logarithmic: bool):
        values = [value for value in values if value > 0] or [1.0]
        self.begin, self.end, self.logarithmic = begin, end, logarithmic
        if logarithmic:
            self.low, self.high = floor(log10(min(values))), max(ceil(log10(max(values))), floor(log10(min(values))) + 1)
        else:
            step = 10 ** floor(log10(max(values)))
            self.step = step / 2 if max(values) / step < 4 else step
            self.low, self.high = 0.0, self.step * ceil(max(values) / self.step)

    def at(self, value: float) -> float:
        where = log10(max(value, 1e-12)) if self.logarithmic else value
        share = (where - self.low) / (self.high - self.low)
        return self.begin + (self.end - self.begin) * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            return [10.0**power for power in range(int(self.low), int(self.high) + 1)]
        return [self.step * count for count in range(round(self.high / self.step) + 1)]


def plot(title: str, y_label: str, lines: dict[str, list[tuple[float, float]]], log_y: bool) -> str:
    """An SVG with one line for each name, over connections on a logarithmic axis."""
    points = [point for line in lines.values() for point in line]
    x = Axis([point[0] for point in points], LEFT, WIDTH - RIGHT, True)
    y = Axis([point[1] for point in points], HEIGHT - BOTTOM, TOP, log_y)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{escape(title)}</text>',
    ]
    for tick in y.ticks():
        out.append(f'<path d="M{LEFT} {y.at(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y.at(tick) + 4:.1f}" text-anchor="end">{nice(tick)}</text>')
    for tick in x.ticks():
        out.append(f'<path d="M{x.at(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        out.append(f'<text x="{x.at(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{nice(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">connections</text>')
    out.append(
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x.at(where), y.at(value)) for where, value in sorted(line)]
        path = "L".join(f"{left:.1f} {top:.1f}" for left, top in places)
        if places:
            out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.extend(marker(number, left, top, colour) for left, top in places)
        row = TOP + 14 + 22 * number
        out.append(marker(number, WIDTH - RIGHT + 20, row - 4, colour))
        out.append(f'<text x="{WIDTH - RIGHT + 32}" y="{row}">{escape(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def marker(number: int, left: float, top: float, colour: str) -> str:
    """A dot, a square or a diamond."""
    if number % 3 == 0:
        return f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4" fill="{colour}"/>'
    turn = ' transform="rotate(45 {:.1f} {:.1f})"'.format(left, top) if number % 3 == 2 else ""
    return f'<rect x="{left - 3.5:.1f}" y="{top - 3.5:.1f}" width="7" height="7" fill="{colour}"{turn}/>'
