"""Measured figures, the bars they have to hold, and how both are shown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    """What became of a bar."""

    HELD = "held"
    MISSED = "missed"
    NONE = ""


@dataclass(frozen=True)
class Bar:
    """A limit that a figure has to hold.

    Attributes:
        limit: the number.
        is_least: the figure must not be smaller; otherwise not larger.
        is_of_ratio: the ratio is meant, not the figure itself.
    """

    limit: float
    is_least: bool = False
    is_of_ratio: bool = False


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured.
        value: the figure; None when it could not be measured.
        unit: its unit.
        ratio: against the reference.
        reference: what the ratio is taken against.
        bar: what has to be held, None when nothing has.
    """

    name: str
    value: float | None
    unit: str
    ratio: float | None = None
    reference: str = ""
    bar: Bar | None = None

    @property
    def mark(self) -> Mark:
        """Whether the bar is held; a figure that nobody measured holds none."""
        if self.bar is None:
            return Mark.NONE
        measured = self.ratio if self.bar.is_of_ratio else self.value
        if measured is None:
            return Mark.MISSED
        is_held = (
            measured >= self.bar.limit
            if self.bar.is_least
            else measured <= self.bar.limit
        )
        return Mark.HELD if is_held else Mark.MISSED


def has_missed(figures: Sequence[Figure]) -> bool:
    """Say whether any bar is missed."""
    return any(figure.mark is Mark.MISSED for figure in figures)


def render_json(figures: Sequence[Figure]) -> str:
    """Return the figures with their marks as JSON."""
    return json.dumps([_describe(figure) for figure in figures], indent=2)


def render_line(figure: Figure) -> str:
    """Return one line for a person."""
    value = "-" if figure.value is None else f"{figure.value:.3f} {figure.unit}"
    ratio = ""
    if figure.ratio is not None:
        ratio = f"{figure.ratio:.4f} of {figure.reference}"
    bar = _render_bar(figure)
    return f"{figure.name:38} {value:18} {ratio:32} {bar}".rstrip()


def _render_bar(figure: Figure) -> str:
    bar = figure.bar
    if bar is None:
        return ""
    sign = ">=" if bar.is_least else "<="
    unit = f"of {figure.reference}" if bar.is_of_ratio else figure.unit
    shown = " ".join(filter(None, (sign, f"{bar.limit:g}", unit)))
    return f"{figure.mark.value:6} ({shown})"


def _describe(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "mark": figure.mark.value}
