"""Line plots as SVG, with nothing but the standard library. The y axis is logarithmic; where the columns lie on the
x axis is the caller's decision. Colours are such that the colour-blind tell them apart, every line has its own
marker, and both follow the reader's light or dark scheme."""
import dataclasses
import itertools
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 470
LEFT, RIGHT, TOP, BOTTOM = 88, 258, 76, 58


@dataclasses.dataclass(frozen=True)
class Style:
    light: str
    dark: str
    marker: str
    dashes: str = ""
    width: float = 2


@dataclasses.dataclass(frozen=True)
class Series:
    name: str
    points: list[tuple[float, float]]  # position and value, which is positive
    style: Style


@dataclasses.dataclass(frozen=True)
class Chart:
    title: str
    subtitle: str
    x_label: str
    columns: list[tuple[float, str]]  # position and name
    series: list[Series]
    text_of: object  # what the axis says at a value
    joined: bool = True  # by lines


MARKERS = {  # around 0, 0
    "circle": '<circle r="4.6"/>',
    "square": '<path d="M-4.2-4.2h8.4v8.4h-8.4z"/>',
    "diamond": '<path d="M0-5.8 5.8 0 0 5.8-5.8 0z"/>',
    "up": '<path d="M0-5.4 5.4 4.2h-10.8z"/>',
    "down": '<path d="M0 5.4 5.4-4.2h-10.8z"/>',
    "left": '<path d="M-5.4 0 4.2-5.4v10.8z"/>',
    "right": '<path d="M5.4 0-4.2-5.4v10.8z"/>',
    "plus": '<path d="M-1.7-5.4h3.4v3.7h3.7v3.4h-3.7v3.7h-3.4v-3.7h-3.7v-3.4h3.7z"/>',
}


def scale_of(values):
    """The least and the greatest power of ten around the values, less where half a power will do."""
    low, high = math.log10(min(values)), math.log10(max(values))
    low, high = low - 0.08, high + 0.08
    steps = [exponent + math.log10(step) for exponent in range(math.floor(low) - 1, math.ceil(high) + 1)
             for step in (1, 2, 5)] + [math.ceil(high)]
    return max(step for step in steps if step <= low), min(step for step in steps if step >= high)


def ticks_of(low, high):
    """Values with a label, and those with a mark only."""
    steps = (1,) if high - low > 2.2 else (1, 2, 5)
    labelled, marked = [], []
    for exponent in range(math.floor(low) - 1, math.ceil(high) + 1):
        for step in range(1, 10):
            place = exponent + math.log10(step)
            if low - 1e-9 <= place <= high + 1e-9:
                (labelled if step in steps else marked).append(step * 10.0**exponent)
    return labelled, marked


def css(series):
    def colours(side):
        return "".join(f".s{i}{{--c:{getattr(one.style, side)}}}" for i, one in enumerate(series))

    return (
        "svg{--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#d7dde3;--faint:#eff2f5}"
        + colours("light")
        + "@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#f0f6fc;--soft:#9aa4af;--line:#30373f;--faint:#1b2129}"
        + colours("dark")
        + "}"
        "text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:var(--ink)}"
        ".paper{fill:var(--paper)}.title{font-size:17px;font-weight:600}.soft{fill:var(--soft)}"
        ".grid{stroke:var(--line)}.faint{stroke:var(--faint)}.axis{stroke:var(--soft)}"
        ".y{text-anchor:end}.x{text-anchor:middle}"
        ".curve{fill:none;stroke:var(--c);stroke-linejoin:round;stroke-linecap:round}"
        ".point,.key{fill:var(--c);stroke:var(--paper);stroke-width:1.4}"
    )


def svg(chart):
    """The whole file as a text."""
    values = [value for series in chart.series for _, value in series.points]
    places = [position for position, _ in chart.columns]
    if not values or not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"{chart.title}: there is nothing that a logarithmic axis can show: {values}")
    strangers = {position for series in chart.series for position, _ in series.points} - set(places)
    if strangers:
        raise ValueError(f"{chart.title}: points in no column: {strangers}")
    low, high = scale_of(values)
    first, last = min(places), max(places)
    inset = 26 if chart.joined else (WIDTH - LEFT - RIGHT) / len(places) / 2
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x_of(position):
        share = (position - first) / (last - first) if last > first else 0.5
        return LEFT + inset + share * (right - LEFT - 2 * inset)

    def y_of(value):
        return bottom - (math.log10(value) - low) / (high - low) * (bottom - TOP)

    names = dict(chart.columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(chart.title)}</title>',
        f'<desc id="description">{escape(description(chart, names))}</desc>',
        f"<style>{css(chart.series)}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text class="title" x="24" y="32">{escape(chart.title)}</text>',
        f'<text class="soft" x="24" y="53">{escape(chart.subtitle)}</text>',
    ]
    labelled, marked = ticks_of(low, high)
    for value in marked:
        parts.append(f'<path class="faint" d="M{LEFT} {y_of(value):.1f}H{right}"/>')
    for position, name in chart.columns:
        x = x_of(position)
        parts.append(f'<path class="faint" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v5"/>')
        parts.append(f'<text class="x" x="{x:.1f}" y="{bottom + 21}">{escape(name)}</text>')
    for value in labelled:
        y = y_of(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<path class="axis" d="M{LEFT - 5} {y:.1f}h5"/>')
        parts.append(f'<text class="y" x="{LEFT - 10}" y="{y + 4.5:.1f}">{escape(chart.text_of(value))}</text>')
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    parts.append(f'<text class="x soft" x="{(LEFT + right) / 2}" y="{HEIGHT - 14}">{escape(chart.x_label)}</text>')

    # The lines of the first, which the plot is about, lie above those of the others.
    for number, series in reversed(list(enumerate(chart.series))):
        style = series.style
        parts.append(f'<g class="s{number}">')
        if chart.joined and len(series.points) > 1:
            line = " ".join(f"{x_of(position):.1f},{y_of(value):.1f}" for position, value in sorted(series.points))
            dashes = f' stroke-dasharray="{style.dashes}"' if style.dashes else ""
            parts.append(f'<polyline class="curve" stroke-width="{style.width}"{dashes} points="{line}"/>')
        for position, value in sorted(series.points):
            parts.append(
                f'<g class="point" transform="translate({x_of(position):.1f} {y_of(value):.1f})">'
                f"<title>{escape(series.name)}, {escape(names[position])}: {escape(chart.text_of(value))}</title>"
                f"{MARKERS[style.marker]}</g>"
            )
        parts.append("</g>")

    if not chart.joined:  # there is room for the figures, each below those of greater values
        for position in places:
            above = -math.inf
            for value in sorted((v for series in chart.series for x, v in series.points if x == position), reverse=True):
                above = max(y_of(value) + 4.5, above + 14)
                parts.append(
                    f'<text class="soft" x="{x_of(position) + 12:.1f}" y="{above:.1f}">'
                    f"{escape(chart.text_of(value))}</text>")

    # The key stands in the order of the lines' ends, so that the eye need not search.
    ends = sorted(enumerate(chart.series), key=lambda item: -max(item[1].points)[1])
    for line, (number, series) in enumerate(ends):
        y = TOP + 10 + line * 23
        parts.append(f'<g class="s{number}">')
        if chart.joined:
            dashes = f' stroke-dasharray="{series.style.dashes}"' if series.style.dashes else ""
            parts.append(
                f'<path class="curve" stroke-width="{series.style.width}"{dashes} d="M{right + 16} {y}h26"/>'
            )
        parts.append(
            f'<g class="key" transform="translate({right + 29} {y})">{MARKERS[series.style.marker]}</g>'
            f'<text x="{right + 50}" y="{y + 4.5}">{escape(series.name)}</text></g>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def description(chart, names):
    """The figures, for those who do not see the lines."""
    lines = []
    for series in chart.series:
        figures = ", ".join(f"{names[x]} {chart.text_of(y)}" for x, y in sorted(series.points))
        lines.append(f"{series.name}: {figures}.")
    return " ".join(itertools.chain([chart.subtitle + "."], lines))
