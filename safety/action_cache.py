"""The safe-action cache: the one approved way to rest, and how long it stays good.

A setpoint is granted only when the arm could ramp to rest from it inside every limit,
so with each granted setpoint there is a complete plan: slow down along the way the arm
was going, hold where that ends, and at last a controlled stop of the robot's program.
This cache keeps the newest such plan with the state and the moment it was approved
for. It hands the plan out only while the measured joints are somewhere along it and
nobody has let its time run out; otherwise it refuses for good, and all that is left is
the last step of the plan, the controlled stop.

A hold of positions is valid for as long as it is confirmed; a hold of a velocity never
is, which is why the plan is a stretch of joint space and not a motion that goes on.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from cell.contracts.runtime import FallbackPlan, PlanRefusal
from cell.contracts.units import ns_from_s

PLAN_LIFE_S: Final = 0.2
"""Two periods of a policy; twice what the robot's own watchdog lets pass."""

REST_TOLERANCE_RAD: Final = 0.1
"""Joints that hold a load sag by a fifth of this."""

LAG_S: Final = 0.06
"""The robot's filter follows its setpoints by about 0.04 s."""

SWING_RAD: Final = 0.05
"""How far a ramp with bounded jerk may swing beside the straight way."""


class SafeActionCache:
    """Implements `SafeActionSource`; refuses everything until the first reset."""

    def __init__(self, limits: NDArray[Any]) -> None:
        """Take the limits of `safety.limits.make_limits`."""
        self._acceleration = limits[0]["joint_acceleration_radps2"].copy()
        self._life_ns = ns_from_s(PLAN_LIFE_S)
        self._refusal: PlanRefusal | None = PlanRefusal.NOT_APPROVED
        self._plan: FallbackPlan | None = None

    def reset(self, q_measured: Vector) -> None:
        """Start over with the plan to stay where the arm is measured to rest.

        Its time begins to run with the first cycle. A position that is not finite
        leaves nothing to approve.
        """
        self._refusal = PlanRefusal.NOT_APPROVED
        if _is_known(q_measured):
            self._refusal = None
            self._store(q_measured.copy(), np.zeros(6), None)

    def approve(self, q: Vector, qd: Vector, now_ns: int) -> None:
        """Remember a setpoint that the guard granted, as the begin of the new plan.

        It runs in every cycle, so the plan itself is worked out when it is asked for.
        A plan that was refused stays refused: only a reset starts over.

        Args:
            q: granted setpoint, shape (6,) [rad].
            qd: joint velocity that it stands for, shape (6,) [rad/s].
            now_ns: when it was granted.
        """
        self._store(q, qd, now_ns)

    def take(self, q_measured: Vector, now_ns: int) -> FallbackPlan | PlanRefusal:
        """Return the plan for one more cycle, or why there is none any more.

        Args:
            q_measured: where the arm is, shape (6,) [rad].
            now_ns: on the clock of `approve`.
        """
        if self._refusal is not None:
            return self._refusal
        plan = self._plan or self._make_plan(now_ns)
        refusal = _find_flaw(plan, q_measured, now_ns)
        if refusal is not None:
            self._refusal = refusal
            return refusal
        self._plan = replace(plan, valid_until_ns=now_ns + self._life_ns)
        return self._plan

    def _store(self, q: Vector, qd: Vector, now_ns: int | None) -> None:
        self._q, self._qd, self._approved_ns = q, qd, now_ns
        self._plan = None

    def _make_plan(self, now_ns: int) -> FallbackPlan:
        q, qd = self._q.copy(), self._qd.copy()
        stopping_s = float(np.max(np.abs(qd) / self._acceleration))
        # An even ramp takes half of this; one with bounded jerk takes longer.
        q_end = q + qd * stopping_s
        approved_ns = now_ns if self._approved_ns is None else self._approved_ns
        return FallbackPlan(
            q=q,
            q_low=np.minimum(q, q_end) - SWING_RAD,
            q_high=np.maximum(q, q_end) + SWING_RAD,
            tolerance_rad=REST_TOLERANCE_RAD + LAG_S * np.abs(qd),
            approved_ns=approved_ns,
            valid_until_ns=approved_ns + self._life_ns,
        )


def _find_flaw(
    plan: FallbackPlan, q_measured: Vector, now_ns: int
) -> PlanRefusal | None:
    """Return why a plan may not be followed; written so that NaN is a reason."""
    if not _is_known(q_measured):
        return PlanRefusal.NOT_MEASURED
    if not plan.approved_ns <= now_ns <= plan.valid_until_ns:
        return PlanRefusal.EXPIRED
    low = plan.q_low - plan.tolerance_rad
    high = plan.q_high + plan.tolerance_rad
    if not bool(((q_measured >= low) & (q_measured <= high)).all()):
        return PlanRefusal.OTHER_POSE
    return None


def _is_known(q: Vector) -> bool:
    return np.shape(q) == (6,) and bool(np.isfinite(q).all())
