"""Normalised increments and tool poses on their way to the guard.

The guard takes joint positions. Here the two other wishes of a policy are projected
onto one, and what cannot be projected makes the guard hold, with the constraint that
stands against it. Never raises; never hands on a wish that was refused.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import MotionGuard, Verdict
from cell.contracts.servo import HoldReason
from safety.projection import (
    PROJECTION,
    project_increment,
    project_pose,
    project_towards,
)


class ProjectedRequests:
    """A guard that takes actions and poses; every call of the guard goes through it.

    It keeps the vetted motion by what the guard answers, so a verdict that it did not
    see would leave it behind.
    """

    def __init__(self, guard: MotionGuard, limits: NDArray[Any]) -> None:
        """Take a guard and the limits of `make_projection_limits`; compiles now."""
        self._guard = guard
        self._limits = limits.copy()
        self._period_s = float(limits["period_s"][0])
        self._answer = np.zeros(1, PROJECTION)
        self._q, self._qd, self._qdd = _rest_at(_vector_of(None))
        still = self._qd
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
        self._q, self._qd, self._qdd = _rest_at(_vector_of(q_measured))

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
            project_increment(
                self._q,
                self._qd,
                self._qdd,
                _vector_of(action),
                self._limits,
                self._answer,
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
            target = _transform_of(base_from_tcp)
            project_pose(self._q, target, self._limits, self._answer)
            if self._answer["reason"][0] == HoldReason.NONE:
                project_towards(
                    self._q,
                    self._qd,
                    self._qdd,
                    self._answer["q"][0].copy(),
                    self._limits,
                    self._answer,
                )

        times_ns = (command_stamp_ns, arm_stamp_ns, now_ns)
        return self._vet(project, times_ns, force_tcp_n)

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Ramp to rest and hold, for a cause that the caller found."""
        return self._follow(self._guard.hold(reason, now_ns))

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
                verdict = replace(verdict, margin=margin, value=value)
            return verdict
        return self._follow(self._guard.vet(answer["q"].copy(), *times_ns, force_tcp_n))

    def _follow(self, verdict: Verdict) -> Verdict:
        qd = (verdict.q - self._q) / self._period_s
        # Whatever comes after a stop starts with no acceleration.
        self._qdd = (qd - self._qd) / self._period_s if qd.any() else np.zeros(6)
        self._qd, self._q = qd, verdict.q.copy()
        return verdict


def _rest_at(q: Vector) -> tuple[Vector, Vector, Vector]:
    return q, np.zeros(6), np.zeros(6)


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
