"""Small charts as SVG, on two logarithmic axes: one panel for each measurement, three in a row."""

import html
import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, GAP, IN_A_ROW = 250, 190, 58, 40, 30, 14, 3
INK, FAINT, LINE = "#1b1f24", "#d0d7de", "#0b6e4f"


def text(x: float, y: float, words: str, anchor: str = "middle", size: int = 11) -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}">'
            f"{html.escape(words)}</text>")


def short(value: float) -> str:
    """A number as an axis has it: 0.05, 20, 3.4 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, four at most; the ends where there is only one of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0 ** power for power in powers for step in (1, 2, 5)]
    inside = [value for value in found if low * 0.999 <= value <= high * 1.001]
    return inside[::max(1, math.ceil(len(inside) / 4))] if len(inside) > 1 else [low, high]


def panel(at: int, title: str, x_name: str, points: list[tuple[float, float]]) -> list[str]:
    row, column = divmod(at, IN_A_ROW)
    left, right = column * (WIDTH + GAP) + LEFT, column * (WIDTH + GAP) + WIDTH
    top, bottom = row * HEIGHT + TOP, (row + 1) * HEIGHT - BOTTOM
    def range_of(values: list[float]) -> tuple[float, float]:
        low, high = min(values), max(values)
        return (low / 1.15, high * 1.15) if high > 1.3 * low else (low / 2, high * 2)
    (x_low, x_high), (y_low, y_high) = (range_of([point[axis] for point in points]) for axis in (0, 1))
    def x(value: float) -> float:
        return left + (right - left) * math.log(value / x_low) / math.log(x_high / x_low)
    def y(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / y_low) / math.log(y_high / y_low)
    made = [text((left + right) / 2, top - 14, title, size=12), text((left + right) / 2, bottom + 34, x_name)]
    for value in ticks(y_low, y_high):
        made.append(f'<path d="M{left} {y(value):.1f}H{right}" stroke="{FAINT}"/>')
        made.append(text(left - 5, y(value) + 4, short(value), "end"))
    for value in sorted({point[0] for point in points}):
        made.append(f'<path d="M{x(value):.1f} {bottom}v4" stroke="{INK}"/>')
        made.append(text(x(value), bottom + 16, short(value), size=10))
    made.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="{INK}"/>')
    line = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
    made.append(f'<path d="M{line}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    made += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="{LINE}"/>' for a, b in points]
    return made


def chart(about: str, x_name: str, panels: list[tuple[str, list[tuple[float, float]]]]) -> str:
    """A picture with these panels; values must be above 0. `about` is what a screen reader says."""
    parts = [part for at, (title, points) in enumerate(panels) for part in panel(at, title, x_name, points)]
    width, height = min(len(panels), IN_A_ROW) * (WIDTH + GAP), math.ceil(len(panels) / IN_A_ROW) * HEIGHT
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="sans-serif"><title>{html.escape(about)}</title>'
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>' + "".join(parts) + "</svg>\n")
