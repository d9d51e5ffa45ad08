"""What the guard's interventions cost, and how the line is asked to slow down. Pure.

An intervention is a hold because an ordered motion broke a limit or could not be
carried out. It costs the time from its onset until an order is followed again: braking,
standing, and giving the order anew. The time to get back to speed is not counted, nor
is a stop that somebody has to end.
"""

import statistics
from collections import deque
from typing import Final

from cell.contracts.plc import PlcOutputs
from cell.contracts.servo import INTERVENTIONS, ServoState
from cell.contracts.units import ns_from_s, s_from_ns

ASKING_S: Final = 0.5
"""A line sees the request for at least this long; slow programs scan every 100 ms."""

_WINDOW: Final = 512


class InterventionLog:
    """Times the interventions that an order met with before it was followed.

    Attributes:
        count: interventions since the start, at their onset.
    """

    def __init__(self) -> None:
        self.count = 0
        self._since_ns: int | None = None
        self._lost_s: deque[float] = deque(maxlen=_WINDOW)

    @property
    def is_holding(self) -> bool:
        """Whether the newest order was held up by one and never followed since."""
        return self._since_ns is not None

    def begin_move(self) -> None:
        """Say that a new motion begins: what held an earlier one is over."""
        self._since_ns = None

    def follow(self, state: ServoState, wanted_id: int) -> None:
        """Look at one state of the servo process while an order to move is out."""
        if state.command_id < wanted_id:
            # It says nothing of this order yet.
            return
        if state.hold_reason in INTERVENTIONS:
            if self._since_ns is None:
                self.count += 1
                self._since_ns = state.stamp_ns
        elif self._since_ns is not None:
            self._lost_s.append(s_from_ns(state.stamp_ns - self._since_ns))
            self._since_ns = None

    def compute_figures(self) -> dict[str, float | None]:
        """Return the figures for status and report; None where nothing is known."""
        return {
            "guard_interventions": self.count,
            "guard_intervention_lost_s_p50": _median(self._lost_s),
            "guard_intervention_lost_s_max": max(self._lost_s, default=None),
        }


class SlowDown:
    """Decides whether the line is asked to slow down, and sees that it hears it.

    The request begins with a hold that nobody ordered, also one that was over before
    anybody looked, and stays up for a while after the last one.
    """

    def __init__(self) -> None:
        self._count = 0
        self._hold_count: int | None = None
        self._until_ns = 0
        self._unconfirmed_since_ns: int | None = None
        self._confirmed_s: deque[float] = deque(maxlen=_WINDOW)

    def follow(
        self, state: ServoState | None, *, is_refused: bool, now_ns: int
    ) -> bool:
        """Return whether the line is to be asked now.

        Args:
            state: newest state of the servo process.
            is_refused: an order is held right now that nobody wanted held.
            now_ns: present time.
        """
        if state is not None:
            before, self._hold_count = self._hold_count, state.hold_count
            has_held = before is not None and state.hold_count > before
            if is_refused or has_held:
                self._ask(state.stamp_ns, now_ns)
        return now_ns < self._until_ns

    def note_confirmed(self, held: PlcOutputs, now_ns: int) -> None:
        """Take note of a block that the line was read to hold."""
        if held.slow_down_request and self._unconfirmed_since_ns is not None:
            self._confirmed_s.append(s_from_ns(now_ns - self._unconfirmed_since_ns))
            self._unconfirmed_since_ns = None

    def compute_figures(self) -> dict[str, float | None]:
        """Return the figures for status and report; None where nothing is known."""
        return {
            "slow_down_requests": self._count,
            "slow_down_confirmed_s_max": max(self._confirmed_s, default=None),
        }

    def _ask(self, onset_ns: int, now_ns: int) -> None:
        if now_ns >= self._until_ns:
            self._count += 1
            self._unconfirmed_since_ns = onset_ns
        self._until_ns = now_ns + ns_from_s(ASKING_S)


def _median(values: deque[float]) -> float | None:
    return statistics.median(values) if values else None
