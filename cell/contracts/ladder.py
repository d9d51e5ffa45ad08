"""The reaction ladder as both sides see it: rungs, rules, and what it remembers.

The ladder itself is in `safety`; the supervisor reaches it through `ReactionLadder`.
All values are frozen and every instant is an argument, so a step can be repeated,
compared and searched.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Rung(IntEnum):
    """What is done about a cause; of all causes the highest rung wins.

    LOG: nothing but a record.
    DEGRADE: warn; work goes on slower, with less, or waits for the line at a gate.
    HOLD: come to rest and wait; ends by itself once the cause is gone for a while.
    STOP: come to rest; ends by a release that somebody gives by name.
    LATCH: stop; no release counts before a named person has acknowledged.
    TERMINATE: the process ends; nothing leads out.
    """

    LOG = 0
    DEGRADE = 1
    HOLD = 2
    STOP = 3
    LATCH = 4
    TERMINATE = 5


@dataclass(frozen=True)
class Budget:
    """How often something may happen within a window of time.

    Attributes:
        count: occurrences that use the budget up, at least 1.
        window_ns: length of the window [ns].
    """

    count: int
    window_ns: int

    def __post_init__(self) -> None:
        """Refuse a budget that would never or always be used up.

        Raises:
            ValueError: count or window is not positive.
        """
        if not (self.count >= 1 and self.window_ns >= 1):
            raise ValueError("a budget needs a positive count and a positive window")

    def is_spent(self, stamps_ns: tuple[int, ...], now_ns: int) -> bool:
        """Say whether the newest stamps, oldest first, use it up [ns]."""
        if len(stamps_ns) < self.count:
            return False
        return now_ns - stamps_ns[-self.count] < self.window_ns


@dataclass(frozen=True)
class CauseRule:
    """How the ladder answers one cause.

    Attributes:
        moving: rung while the arm moves or may move.
        still: rung while it is at rest.
        quiet_ns: how long it must be gone before a hold may end by itself [ns].
        flapping: how often it may come before a hold needs a release; None where it may
            come as often as it likes.
        is_mended_by_release: only a release can end the cause itself, so it does not
            stand in the way of one.
    """

    moving: Rung
    still: Rung
    quiet_ns: int = 0
    flapping: Budget | None = None
    is_mended_by_release: bool = False


@dataclass(frozen=True)
class LadderRules:
    """All rules of a cell.

    Attributes:
        causes: by name; a cause without a rule is answered like the worst fault.
        returns: how often holds may end by themselves, whatever caused them; None for
            no limit.
    """

    causes: Mapping[str, CauseRule]
    returns: Budget | None = None


@dataclass(frozen=True)
class Trace:
    """What is known of one cause.

    Attributes:
        cause: its name.
        rung: the highest it has reached in this stop; LOG once that is over.
        is_seen: it was there at the last look.
        seen_ns: when it was there last, monotonic clock [ns].
        onsets_ns: when it came, oldest first; as many as its budget counts [ns].
    """

    cause: str
    rung: Rung = Rung.LOG
    is_seen: bool = False
    seen_ns: int = 0
    onsets_ns: tuple[int, ...] = ()

    @property
    def is_standing(self) -> bool:
        """Whether it keeps the cell at rest."""
        return self.rung >= Rung.HOLD


@dataclass(frozen=True)
class LadderState:
    """Everything the ladder remembers between two steps.

    Attributes:
        rung: the highest of all traces.
        traces: causes that are there, or were there lately, sorted by name.
        acknowledged_by: who has acknowledged the present latch, empty while nobody has.
        returns_ns: when holds ended by themselves, oldest first [ns].
        end_reason: why it was terminated, empty while it was not.
    """

    rung: Rung = Rung.LOG
    traces: tuple[Trace, ...] = ()
    acknowledged_by: str = ""
    returns_ns: tuple[int, ...] = ()
    end_reason: str = ""

    @property
    def permits_motion(self) -> bool:
        """Whether the arm may move for production."""
        return self.rung <= Rung.DEGRADE

    @property
    def needs_acknowledgement(self) -> bool:
        """Whether a named person has to acknowledge before any release counts."""
        return self.rung is Rung.LATCH and not self.acknowledged_by


class ReactionLadder(Protocol):
    """The rule of what every cause does and who may end it. Pure and total.

    A step that is not allowed returns the state as it was: the very same object.
    """

    def observe(
        self,
        state: LadderState,
        struck: AbstractSet[str],
        present: AbstractSet[str],
        now_ns: int,
        *,
        is_moving: bool,
    ) -> LadderState:
        """Take one look at the causes into account.

        Args:
            state: before.
            struck: causes that act now.
            present: causes that are there, whether or not they act; they keep a hold
                of their own from ending.
            now_ns: monotonic clock [ns].
            is_moving: the arm moves or may move at any moment.
        """
        ...

    def resume(self, state: LadderState, now_ns: int) -> LadderState:
        """End a hold whose causes have been gone long enough, with nobody there."""
        ...

    def release(self, state: LadderState, by: str) -> LadderState:
        """End a stop by name; a latch only after its acknowledgement.

        What is still there, and is not mended by a release, stays.
        """
        ...

    def acknowledge(self, state: LadderState, by: str) -> LadderState:
        """Note by name that a person has looked at the present latch."""
        ...

    def terminate(self, state: LadderState, why: str) -> LadderState:
        """Forbid motion for the rest of this process."""
        ...
