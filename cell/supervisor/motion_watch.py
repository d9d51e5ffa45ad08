"""What a motion under way looks out for: a loss behind it, and its time. Pure."""

from enum import Enum
from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.servo import (
    TIMING_HOLDS,
    UNLINKED_PHASES,
    HoldReason,
    ServoState,
)
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.causes import Cause
from cell.supervisor.ports import LoadLimits

LEAST_SPEED_RATIO: Final = 0.02
"""Below it an order would not end within its time."""

HOLD_PATIENCE_S: Final = 0.5
"""How long a hold of the guard may take to pass [s]."""

YIELD_PATIENCE_S: Final = 3.0
"""How long an arm that is pressed may take to give way [s]."""

YIELD_AFTER_S: Final = 0.24
"""How long joints are off their setpoints before that is no lag [s], six lags of a
slow robot: the load that they press with has come to its height by then."""

LOOSE_S: Final = 0.05
"""How long a tool feels little before nothing is pressed at [s]: a blow bounces."""

YIELD_PAUSE_S: Final = 0.04
"""From a piece of the way back that the guard refused to the next [s]."""

YIELD_ARRIVAL_RAD: Final = 0.0005
"""Near enough to the end of a piece for the next one."""

SETTLING_S: Final = 0.12
"""In which the joints come up to setpoints that rest [s]; an arm that is pressed may
tremble for longer."""

_MOVE_TIMEOUT_S: Final = 8.0
_WENT_ON_S: Final = 0.5
_RELEASE_TIMEOUT_S: Final = 15.0
_FIRST_WORD_TIMEOUT_S: Final = 120.0
"""A servo process compiles before it reports, on a new computer for about a minute; its
host gives it 90 s, and the next one goes on where it ended."""

_PAUSES_S: Final = (0.04, 0.08, 0.0)
"""After each try: a knock that is over within 0.1 s costs no more than that."""

_AT_REST_RADPS: Final = 0.02
_PIECE_RAD: Final = 0.004
"""Travel of all joints in one order to give way: so short, its peak of speed stays
below what the guard permits under load (0.09 of 0.1 rad/s)."""
_PRESS_RATIO: Final = 0.5
"""Of the guard's limits. Joints that are kept off by less carry something, or pull it
out of a heap (1 mrad for 33 N in the virtual cell), and may go on with that."""
_OFF_RAD: Final = 0.001
"""A joint that is further from its setpoint at rest is kept from it."""

LATCHING_HOLDS: Final = {
    HoldReason.LINK_LOST: Cause.ROBOT_LINK_LOST,
    HoldReason.PROTECTIVE_STOP: Cause.PROTECTIVE_STOP,
    HoldReason.EMERGENCY_STOP: Cause.EMERGENCY_STOP,
    HoldReason.ROBOT_NOT_READY: Cause.ROBOT_NOT_RUNNING,
}
"""Holds after which the servo process waits for a newer `arm_id`."""

AWAITED_HOLDS: Final = frozenset(
    {HoldReason.COMMAND_STALE, HoldReason.COMMAND_WITHHELD, HoldReason.SPEED_ZERO}
)
"""Holds by others than the guard, which last as long as those want: no new order ends
one, and only the time that the motion may take does."""

PASSING_HOLDS: Final = TIMING_HOLDS - AWAITED_HOLDS
"""Hiccups of timing after which the servo process goes on with the same order."""


class Press(Enum):
    """What became of something that an arm pressed on."""

    NONE = "none"
    """There was nothing: its joints were on their setpoints."""

    GONE = "gone"
    """The setpoints went back until nothing kept the joints from them."""

    STAYS = "stays"
    """The setpoints could not go back within the time for that."""


class Losses:
    """Sees servo process and robot go, also when they are back soon."""

    def __init__(self, state: ServoState | None) -> None:
        self._state = state

    def follow(self, state: ServoState | None) -> Cause | None:
        """Return what was lost since the last call, None when nothing was."""
        before, self._state = self._state, state
        if before is None or state is None:
            return None
        if state.cycle < before.cycle:
            return Cause.SERVO_LOST
        is_gone = state.phase in UNLINKED_PHASES and before.phase not in UNLINKED_PHASES
        return Cause.ROBOT_LINK_LOST if is_gone else None


class Patience:
    """The time that a motion may take, counted at the speed it is allowed."""

    def __init__(self, now_ns: int) -> None:
        self._last_ns = now_ns
        self._used_s = 0.0

    def is_over(self, now_ns: int, ratio: float) -> bool:
        """Count the time since the last call at a ratio of the full speed."""
        elapsed_s = s_from_ns(now_ns - self._last_ns)
        self._last_ns = now_ns
        # A ratio that is no number, or near zero, still lets the time pass.
        self._used_s += elapsed_s * (
            ratio if ratio > LEAST_SPEED_RATIO else LEAST_SPEED_RATIO
        )
        return self._used_s > _MOVE_TIMEOUT_S


class ReleasePatience:
    """The time that a release may take: it begins with the servo process's first word.

    A servo process that has never reported is starting, which takes longer than any
    robot takes to boot.
    """

    def __init__(self, now_ns: int) -> None:
        self._since_ns = now_ns
        self._has_reported = False

    def is_over(self, now_ns: int, *, has_reported: bool) -> bool:
        """Say whether to give up.

        Args:
            now_ns: monotonic clock.
            has_reported: the servo process has been heard at least once.
        """
        if has_reported and not self._has_reported:
            self._has_reported, self._since_ns = True, now_ns
        limit_s = _RELEASE_TIMEOUT_S if has_reported else _FIRST_WORD_TIMEOUT_S
        return now_ns > self._since_ns + ns_from_s(limit_s)


class Tries:
    """The tries of one motion that the guard refuses.

    One that went on for a while was stopped by something new: its tries begin anew.
    The time that it may take does not.

    Attributes:
        reasons: one for each try.
    """

    COUNT: Final = len(_PAUSES_S)

    def __init__(self) -> None:
        self.reasons: list[HoldReason] = []

    @property
    def is_spent(self) -> bool:
        """Whether no further one is made."""
        return len(self.reasons) >= self.COUNT

    def note(self, reason: HoldReason, followed_ns: int) -> float:
        """Count a try; return how long to wait at least before the next one [s].

        Args:
            reason: why the guard refused it.
            followed_ns: how long it was followed before [ns].
        """
        if followed_ns > ns_from_s(_WENT_ON_S):
            self.reasons.clear()
        self.reasons.append(reason)
        return _PAUSES_S[len(self.reasons) - 1]


def is_refusal(reason: HoldReason) -> bool:
    """Say whether the servo process does not follow its order."""
    return reason not in (HoldReason.NONE, HoldReason.NO_COMMAND)


def is_given_up(reason: HoldReason, held_ns: int) -> bool:
    """Say whether a hold will not pass by itself while the same order stands.

    Args:
        reason: of the hold.
        held_ns: for how long it has held the order up [ns].
    """
    if reason in AWAITED_HOLDS:
        return False
    return reason not in PASSING_HOLDS or held_ns > ns_from_s(HOLD_PATIENCE_S)


def find_way_back(state: ServoState) -> Vector | None:
    """Return the next setpoint on the way to joints that are kept off, (6,) [rad].

    None where they are not. What an arm in motion lags behind looks the same.
    """
    off = state.q - state.q_command
    if float(np.max(np.abs(off))) <= _OFF_RAD:
        return None
    piece = min(1.0, _PIECE_RAD / float(np.sum(np.abs(off))))
    return np.asarray(state.q_command + piece * off, dtype=np.float64)


def is_loaded(state: ServoState, limits: LoadLimits) -> bool:
    """Say whether the tool feels enough for an arm that presses on something."""
    force = float(np.linalg.norm(state.force_tcp_n[:3])) / limits.force_n
    torque = float(np.linalg.norm(state.force_tcp_n[3:])) / limits.torque_nm
    # Written so that what is no number counts as a load.
    return not (force < _PRESS_RATIO and torque < _PRESS_RATIO)


def is_at_rest(state: ServoState) -> bool:
    """Say whether no joint moves."""
    return all(abs(speed) < _AT_REST_RADPS for speed in state.qd.tolist())
