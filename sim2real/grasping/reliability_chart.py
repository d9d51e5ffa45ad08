"""A reliability diagram as an SVG file: what was said against what came true."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from policies.guardian_manifest import ReliabilityBin

_SIDE: Final = 260
_MARGIN: Final = 46
_COLOURS: Final = {"line": "#9aa5b1", "dot": "#1f6f8b", "text": "#323f4b"}


def write_reliability_chart(
    path: Path, reliability: Mapping[str, Sequence[ReliabilityBin]], title: str
) -> None:
    """Write one panel for each output; the size of a dot is its number of attempts.

    Args:
        path: file to write.
        reliability: bins by output.
        title: one line above the panels.
    """
    width = len(reliability) * (_SIDE + _MARGIN) + _MARGIN
    height = _SIDE + 2 * _MARGIN + 24
    body = "".join(
        _draw_panel(name, bins, _MARGIN + number * (_SIDE + _MARGIN))
        for number, (name, bins) in enumerate(reliability.items())
    )
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="{_COLOURS["text"]}">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
        f'<text x="{_MARGIN}" y="22" font-size="14">{escape(title)}</text>'
        f"{body}</svg>\n"
    )
    path.write_text(text, encoding="utf-8")


def _draw_panel(name: str, bins: Sequence[ReliabilityBin], left: int) -> str:
    top, bottom = _MARGIN, _MARGIN + _SIDE
    line, dot = _COLOURS["line"], _COLOURS["dot"]
    most = max((row.count for row in bins), default=1)
    dots = "".join(
        f'<circle cx="{left + _SIDE * row.said:.1f}" '
        f'cy="{bottom - _SIDE * row.seen:.1f}" '
        f'r="{2 + 5 * (row.count / most) ** 0.5:.1f}" fill="{dot}"/>'
        for row in bins
    )
    return (
        f'<rect x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}" fill="none" '
        f'stroke="{line}"/>'
        f'<line x1="{left}" y1="{bottom}" x2="{left + _SIDE}" y2="{top}" '
        f'stroke="{line}" stroke-dasharray="4 4"/>{dots}'
        f'<text x="{left}" y="{bottom + 18}">0</text>'
        f'<text x="{left + _SIDE - 8}" y="{bottom + 18}">1</text>'
        f'<text x="{left + _SIDE / 2}" y="{bottom + 34}" text-anchor="middle">'
        f"{escape(name)}: said (across), seen (up)</text>"
    )
