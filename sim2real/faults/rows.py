"""What a row of the fault catalogue says. Values only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Boundary(StrEnum):
    """Where a fault comes in."""

    LINE = "line PLC"
    ROBOT = "robot"
    GRIPPER = "gripper"
    CAMERA = "camera"
    POLICY = "policy"
    GUARD = "guard"
    PROCESS = "processes"
    STORAGE = "storage"
    OUTSIDE = "broker, HMI, updates"
    COMBINED = "combined"


class Rung(StrEnum):
    """Rungs of the reaction ladder, in rising severity."""

    RECORD = "R0"
    DEGRADE = "R1"
    HOLD = "R2"
    STOP = "R3"
    LATCH = "R4"
    EXIT = "R5"


class Way(StrEnum):
    """How a row is tried."""

    CELL = "whole cell"
    CODE = "real code, no cell"
    LISTED = "listed only"


NO_CAUSE: Final = (
    "the ladder knows no cause of it: the recorded event, and a part that is placed or "
    "counted as lost meanwhile, stand for the rung"
)
"""Why the rung of a row is not compared that degrades without a cause."""


@dataclass(frozen=True)
class FaultRow:
    """One fault and what the cell owes.

    Attributes:
        id: F01 to F95.
        name: of the fault, for a person.
        boundary: where it is injected.
        rung: strongest reaction that it must lead to.
        reaction: what must happen.
        way: how it is tried.
        states: PackML states in which the cell may settle; empty where no cell runs.
        causes: causes of which the stop must name one; empty when there is no stop.
        bound_ms: longest time from onset to reaction [ms]; None when it is none.
        bound: the same for a person, with its origin.
        reason: why it cannot be tried; empty when it can.
        unranked: why its rung is not compared with one that was seen; empty when it is.
        events: what the code under test has to record, by name; a cell's stand in its
            scenario.
    """

    id: str
    name: str
    boundary: Boundary
    rung: Rung
    reaction: str
    way: Way
    states: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    bound_ms: float | None = None
    bound: str = ""
    reason: str = ""
    unranked: str = ""
    events: tuple[str, ...] = ()

    @property
    def is_runnable(self) -> bool:
        """Whether it can be tried."""
        return self.way is not Way.LISTED
