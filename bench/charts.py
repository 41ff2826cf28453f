"""Small bar charts as SVG: each row on a scale of its own, readable on light and dark ground."""

from collections.abc import Sequence
from html import escape

from bench.figures import Figure

_WIDTH, _BAR, _ROW, _LABEL = 760, 420, 54, 14
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24 }
.small { font-size: 11px; fill: #57606a }
.ours { fill: #0b6bcb } .theirs { fill: #aeb6c0 } .goal { stroke: #b3261e; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9aa4af }
  .ours { fill: #58a6ff } .theirs { fill: #4a525c } .goal { stroke: #ff7b72 }
}
"""


def chart(title: str, figures: Sequence[Figure]) -> str:
    """Ours in colour, the reference in grey below it, the goal as a line."""
    height = 34 + _ROW * len(figures)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}: ours, the reference below it, a line at the goal</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="0" y="16" font-weight="600">{escape(title)}</text>',
        '<text class="small" x="120" y="16">blue: ours; grey: reference; line: goal</text>',
    ]
    for place, figure in enumerate(figures):
        parts += _row(figure, 34 + _ROW * place)
    return "\n".join([*parts, "</svg>", ""])


def _row(figure: Figure, top: int) -> list[str]:
    goal = _goal(figure)
    scale = max(figure.measured, figure.reference or 0, goal or 0) or 1
    y = top + 18
    parts = [f'<text x="0" y="{top + 12}">{escape(figure.name)}</text>']
    for kind, value, word in (
        ("ours", figure.measured, "" if figure.p99 is None else f"(p99 {_short(figure.p99)})"),
        ("theirs", figure.reference, figure.reference_name),
    ):
        if value is None:
            continue
        width = max(1, round(_BAR * value / scale))
        says = f"{_short(value)} {figure.unit} {word}".strip()
        parts += [
            f'<rect class="{kind}" x="0" y="{y}" width="{width}" height="{_LABEL - 3}" rx="2"/>',
            f'<text class="small" x="{width + 6}" y="{y + 10}">{escape(says)}</text>',
        ]
        y += _LABEL
    if goal is not None:
        x = round(_BAR * goal / scale)
        parts.append(f'<line class="goal" x1="{x}" x2="{x}" y1="{top + 16}" y2="{y}"/>')
    return parts


def _goal(figure: Figure) -> float | None:
    """The goal in the figure's unit."""
    if figure.goal is None:
        return None
    limit = figure.goal.at_most if figure.goal.at_least is None else figure.goal.at_least
    return (limit or 0) * ((figure.reference or 0) if figure.goal.of == "ratio" else 1)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
