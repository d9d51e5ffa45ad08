"""What became of one row, and what of it is not as the row says. Pure."""

from collections.abc import Sequence
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
        table_rung: that of the cause which the answer leads to, by the table of causes
            and not by a cell that was seen; None where none was asked for.
        events: what the code under test recorded, by name.
    """

    reaction: str
    reaction_ms: float | None = None
    rest_ms: float | None = None
    missed: tuple[str, ...] = ()
    rung: Rung | None = None
    table_rung: Rung | None = None
    events: tuple[str, ...] = ()

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
    missed += find_low(row, judgement.rung, judgement.table_rung)
    lost = [name for name in row.events if name not in judgement.events]
    missed += [f"no event '{name}' was recorded" for name in lost]
    return replace(judgement, missed=tuple(missed))


def find_weakest(rungs: Sequence[Rung | None]) -> Rung | None:
    """Return the lowest of several reactions; None where one of them is missing."""
    known = [rung for rung in rungs if rung is not None]
    return min(known) if known and len(known) == len(rungs) else None


def find_low(row: FaultRow, *found: Rung | None) -> list[str]:
    """Return a sentence where every reaction that was found is weaker than the row's.

    Nothing is weaker than a record, so of those rows no rung is asked for.

    Args:
        row: what must happen.
        found: the rung that was seen, and that of the table where it was asked; None
            for neither.
    """
    if row.unranked or row.rung is Rung.RECORD:
        return []
    known = [rung for rung in found if rung is not None]
    if not known:
        return [f"no rung was seen, {row.rung} is due"]
    best = max(known)
    return [] if best >= row.rung else [f"rung {best} only, {row.rung} is due"]
