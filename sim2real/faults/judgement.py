"""What became of one row, and what of it is not as the row says. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from sim2real.faults.rows import FaultRow, Rung

LATE: Final = "late: "
"""Begins every sentence about a time."""


@dataclass(frozen=True)
class Judgement:
    """What became of one row.

    Attributes:
        reaction: what the cell did, for a person.
        reaction_ms: from onset to reaction [ms]; None when none was seen or meant.
        rest_ms: from onset to the last order to move [ms]; None when it was not looked
            at.
        missed: what is not as the row says; empty when all is.
        rung: strongest reaction that was seen; None when none was, or none is meant.
    """

    reaction: str
    reaction_ms: float | None = None
    rest_ms: float | None = None
    missed: tuple[str, ...] = ()
    rung: Rung | None = None

    @property
    def is_late_only(self) -> bool:
        """Whether everything happened, only not in time."""
        return bool(self.missed) and all(m.startswith(LATE) for m in self.missed)


def find_late(time_ms: float, bound_ms: float, what: str = "") -> str:
    """Return the sentence about a time beyond its bound, empty within it."""
    if time_ms <= bound_ms:
        return ""
    return f"{LATE}{what}{time_ms:.0f} ms, bound {bound_ms:.0f} ms"


def check_code(row: FaultRow, judgement: Judgement) -> Judgement:
    """Return the judgement of a row about code with what the row itself demands."""
    missed = list(judgement.missed)
    if row.bound_ms is not None:
        if judgement.reaction_ms is None:
            missed.append("no time of the reaction was measured")
        elif late := find_late(judgement.reaction_ms, row.bound_ms):
            missed.append(late)
    missed += find_low(row, judgement.rung)
    return replace(judgement, missed=tuple(missed))


def find_low(row: FaultRow, seen: Rung | None) -> list[str]:
    """Return a sentence where a reaction is weaker than the row's.

    Below a hold nothing has to come to rest, and other checks say what has to be seen.
    """
    if row.rung < Rung.HOLD:
        return []
    if seen is None:
        return [f"no rung was seen, {row.rung} is due"]
    return [] if seen >= row.rung else [f"rung {seen} only, {row.rung} is due"]
