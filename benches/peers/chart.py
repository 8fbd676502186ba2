"""Bars and lines as SVG that reads on light and on dark ground."""

import math
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH = 26, 170, 720


def bars(title, values):
    most = max(value for _, value in values)
    height = ROW * (len(values) + 1) + 16
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" role="img">',
        "<style>text { fill: #333 } .ours { fill: #2a78d6 } .theirs { fill: #9aa5b1 } "
        "@media (prefers-color-scheme: dark) { text { fill: #ddd } }</style>",
        f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    for place, (name, value) in enumerate(values, 1):
        top, long = ROW * place + 4, (WIDTH - LEFT - 70) * value / most
        kind = "ours" if name.startswith("tamis") else "theirs"
        out.append(f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>')
        out.append(f'<rect class="{kind}" x="{LEFT}" y="{top + 2}" width="{long:.1f}" height="{ROW - 8}" rx="3"/>')
        out.append(f'<text x="{LEFT + long + 6:.1f}" y="{top + 15}">{value:.1f}</text>')
    return "\n".join([*out, "</svg>", ""])


# Red, blue and green that tell apart on both grounds.
COLOURS = ["#2a78d6", "#d2691e", "#2e9e5b"]
HEIGHT, BOTTOM, TOP, LEFT_OF_LINES, RIGHT = 320, 50, 30, 50, 16


def lines(title, series):
    """Lines over a logarithmic axis of sizes: [(name, [(size, value)])]."""
    most = max(value for _, points in series for _, value in points) * 1.1
    last = math.log10(max(size for _, points in series for size, _ in points))

    def x(size):
        return LEFT_OF_LINES + (WIDTH - LEFT_OF_LINES - RIGHT) * math.log10(size) / last

    def y(value):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / most

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" role="img">',
        "<style>text { fill: #333 } .grid { stroke: #9aa5b1; stroke-opacity: 0.4 } @media (prefers-color-scheme: dark) { text { fill: #ddd } }</style>",
        f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    step = 10 ** math.floor(math.log10(most / 2))
    step *= next(times for times in (1, 2, 5, 10) if most / (step * times) <= 6)
    for number in range(int(most / step) + 1):
        out.append(f'<line class="grid" x1="{LEFT_OF_LINES}" x2="{WIDTH - RIGHT}" y1="{y(number * step):.1f}" y2="{y(number * step):.1f}"/>')
        out.append(f'<text x="{LEFT_OF_LINES - 8}" y="{y(number * step) + 4:.1f}" text-anchor="end">{number * step:g}</text>')
    for power in range(int(last) + 1):
        out.append(f'<text x="{x(10**power):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
    for place, ((name, points), colour) in enumerate(zip(series, COLOURS)):
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>' for size, value in points]
        at = LEFT_OF_LINES + 210 * place
        out.append(f'<line x1="{at}" x2="{at + 20}" y1="{HEIGHT - 12}" y2="{HEIGHT - 12}" stroke="{colour}" stroke-width="3"/>')
        out.append(f'<text x="{at + 26}" y="{HEIGHT - 8}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>", ""])
