"""Normalised increments and tool poses on their way to the guard.

The guard takes joint positions. Here the two other wishes of a policy are projected
onto one, and what cannot be projected makes the guard hold, with the constraint that
stands against it. Never raises; never hands on a wish that was refused.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from safety.guard import EnvelopeGuard
from safety.projection import (
    PROJECTION,
    project_increment,
    project_pose,
    project_towards,
)

LEAST_RATIO: Final = 0.01
"""Speeds of zero would leave the projection without a divisor."""

RATIO_PER_CYCLE: Final = 0.002
"""At 500 Hz a joint at 3 rad/s brakes with 3 rad/s2 by that, a tenth of its limit."""


class ProjectedRequests:
    """Implements `RequestGuard`: a guard that takes actions and poses as well.

    What is asked of it in joint positions goes straight to the guard.
    """

    def __init__(self, guard: EnvelopeGuard, limits: NDArray[Any]) -> None:
        """Take a guard and the limits of `make_projection_limits`; compiles now."""
        self._guard = guard
        self._limits = limits.copy()
        self._full_speed = limits["joint_speed_radps"].copy()
        self._full_increment = limits["increment_rad"].copy()
        self._answer = np.zeros(1, PROJECTION)
        self._ratio = 1.0
        still = np.zeros_like(self._full_speed[0])
        project_increment(still, still, still, still, self._limits, self._answer)
        project_towards(still, still, still, still, self._limits, self._answer)
        project_pose(still, np.eye(3, 4), self._limits, self._answer)

    @property
    def projection(self) -> NDArray[Any]:
        """What became of the last wish before the guard saw it, one `PROJECTION`."""
        return self._answer.copy()

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest from a measured position, shape (6,) [rad]."""
        self._guard.reset(q_measured)

    def attach(self, radius_m: float, length_m: float) -> None:
        """Take note of the part in the fingers [m]; radius 0 when there is none."""
        self._guard.attach(radius_m, length_m)

    def describe(self, verdict: Verdict) -> str:
        """Return limit, joint, axis or pair, and value in a few words."""
        return self._guard.describe(verdict)

    def vet(
        self,
        q_request: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one joint request, shape (6,) [rad]; on refusal ramp to rest and hold."""
        return self._guard.vet(
            q_request, command_stamp_ns, arm_stamp_ns, now_ns, force_tcp_n
        )

    def slow_down(self, ratio: float) -> None:
        """Scale the speeds of actions and poses from the next one on, 0..1.

        In motion it comes about gradually, so that the arm never goes faster than its
        own limit lets it brake. From rest the first cycle keeps to it.
        """
        # In this order what is no number stands for the slowest.
        wanted = min(max(LEAST_RATIO, ratio), 1.0)
        if self._guard.read_motion()[1].any():
            least, most = self._ratio - RATIO_PER_CYCLE, self._ratio + RATIO_PER_CYCLE
            wanted = min(max(wanted, least), most)
        self._ratio = wanted
        self._limits["joint_speed_radps"] = self._full_speed * self._ratio
        self._limits["increment_rad"] = self._full_increment * self._ratio

    def vet_action(
        self,
        action: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet six normalised joint increments for this cycle; refused, ramp to rest."""

        def project() -> None:
            q, qd, qdd = self._guard.read_motion()
            project_increment(
                q, qd, qdd, _vector_of(action), self._limits, self._answer
            )

        times_ns = (command_stamp_ns, arm_stamp_ns, now_ns)
        return self._vet(project, times_ns, force_tcp_n)

    def vet_pose(
        self,
        base_from_tcp: Pose,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one cycle of the way to a tool pose, at which the arm comes to rest."""

        def project() -> None:
            q, qd, qdd = self._guard.read_motion()
            target = _transform_of(base_from_tcp)
            project_pose(q, target, self._limits, self._answer)
            if self._answer["reason"][0] == HoldReason.NONE:
                goal = self._answer["q"][0].copy()
                project_towards(q, qd, qdd, goal, self._limits, self._answer)

        times_ns = (command_stamp_ns, arm_stamp_ns, now_ns)
        return self._vet(project, times_ns, force_tcp_n)

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Ramp to rest and hold, for a cause that the caller found."""
        return self._guard.hold(reason, now_ns)

    def _vet(
        self,
        project: Callable[[], None],
        times_ns: tuple[int, int, int],
        force_tcp_n: Vector,
    ) -> Verdict:
        now_ns = times_ns[2]
        try:
            project()
        except Exception:  # noqa: BLE001  (whatever went wrong, the answer is to hold)
            return self.hold(HoldReason.GUARD_EXCEPTION, now_ns)
        answer = self._answer[0]
        reason = HoldReason(int(answer["reason"]))
        if reason is not HoldReason.NONE:
            margin, value = float(answer["margin"]), float(answer["value"])
            verdict = self.hold(reason, now_ns)
            # Unless the guard has a cause of its own.
            if verdict.reason is reason:
                item = int(answer["joint"])
                verdict = replace(verdict, margin=margin, value=value, item=item)
            return verdict
        return self._guard.vet(answer["q"].copy(), *times_ns, force_tcp_n)


def _vector_of(numbers: Any) -> Vector:
    """Return what the kernel may see; anything odd becomes NaN, hence refused."""
    try:
        vector = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(6, np.nan)
    return vector if vector.shape == (6,) else np.full(6, np.nan)


def _transform_of(pose: Any) -> Vector:
    """Return a pose as a (3, 4) array; anything odd becomes NaN, hence refused."""
    try:
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(pose.as_matrix()[:3], dtype=np.float64)
    except (AttributeError, TypeError, ValueError):
        return np.full((3, 4), np.nan)
