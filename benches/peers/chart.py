"""A bar for each subject, as SVG that reads on light and on dark ground."""

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
