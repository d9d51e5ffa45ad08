"""Turns orders into one joint request per control period.

It knows nothing of the robot. What it asks for goes to the guard; when the guard
answers otherwise, `resync` makes it start again from what was granted.
"""

import numpy as np

from cell.contracts.errors import ChunkSeamError
from cell.contracts.geometry import Vector
from cell.contracts.servo import RESTING_MODES, MotionMode, ServoCommand
from cell.servo.chunk_motion import ChunkMotion
from cell.servo.motions import (
    JointMotion,
    JointPoint,
    LineMotion,
    Motion,
    MotionLimits,
    RestMotion,
)

# An order is carried out where its end was granted to within this.
_SAME_RAD = 1e-4


class Interpolator:
    """Carries out one order at a time, starting from the motion it is in."""

    def __init__(self, limits: MotionLimits) -> None:
        self._limits = limits
        self._point = JointPoint.at_rest(np.zeros(6))
        self._motion: Motion = RestMotion(self._point, limits)
        # Stands for a motion that is made elsewhere.
        self._elsewhere = self._motion
        self._order: ServoCommand | None = None
        self._is_pending = False
        self._begun_chunk_id = 0

    def reset(self, q: Vector) -> None:
        """Forget everything and rest at `q`, shape (6,) [rad]."""
        self._order = None
        self._settle(JointPoint.at_rest(q))

    def order(self, command: ServoCommand) -> None:
        """Take a new order; it starts with the next step."""
        self._order = command
        self._is_pending = True

    def cancel(self) -> None:
        """Drop the order and ramp to rest."""
        self._order = None
        self._settle(self._point)

    def pass_on(self, q: Vector, qd: Vector, qdd: Vector) -> None:
        """Take note of a cycle of a motion that is made elsewhere, (6,) each.

        It is what the next order starts from.
        """
        self._point = JointPoint(q, qd, qdd)
        self._motion = self._elsewhere
        self._is_pending = False

    def read_chunk(self) -> tuple[int, float]:
        """Return which chunk is being consumed, and how much of it [s]; 0 for none."""
        if isinstance(self._motion, ChunkMotion) and not self._motion.is_done:
            return self._motion.chunk_id, self._motion.consumed_s
        return 0, 0.0

    def resync(self, q: Vector, qd: Vector) -> None:
        """Go on from a motion that somebody else decided.

        An order that was under way begins anew; one that was carried out does not.
        """
        gap = float(np.max(np.abs(q - self._point.q)))
        is_over = self.is_done() and gap <= _SAME_RAD
        self._settle(JointPoint(q.copy(), qd.copy(), np.zeros(6)))
        self._is_pending = self._order is not None and not is_over

    def step(self, speed_ratio: float) -> Vector:
        """Return the request for this cycle, shape (6,) [rad].

        Raises:
            TargetUnreachableError: the order cannot be carried out from here.
        """
        if self._is_pending:
            self._begin()
        elif self._motion is self._elsewhere:
            self._settle(self._point)
        self._point = self._motion.step(speed_ratio)
        return self._point.q

    def has_arrived(self) -> bool:
        """Say whether the order is carried out, or close enough to blend the next."""
        order = self._order
        if order is None or self._is_pending:
            return False
        if self._motion.is_done:
            return True
        if order.mode is not MotionMode.MOVE_JOINT or order.arrival_rad <= 0.0:
            return False
        distance = float(np.max(np.abs(order.q_target - self._point.q)))
        return distance <= order.arrival_rad

    def is_done(self) -> bool:
        """Say whether nothing is left to do; the requests no longer change."""
        return self._motion.is_done and not self._is_pending

    def _begin(self) -> None:
        order = self._order
        if order is None or order.mode in RESTING_MODES:
            self._settle(self._point)
            return
        if order.mode is MotionMode.FOLLOW:
            self._begin_chunk(order)
        elif order.mode is MotionMode.MOVE_JOINT:
            self._motion = JointMotion(self._point, order.q_target, self._limits)
        elif self._point.qd.any():
            # A straight line starts from rest: come to rest first.
            if self._motion.is_done or not isinstance(self._motion, RestMotion):
                self._motion = RestMotion(self._point, self._limits)
            return
        else:
            self._motion = LineMotion(self._point.q, order.base_from_tcp, self._limits)
        self._is_pending = False

    def _begin_chunk(self, order: ServoCommand) -> None:
        chunk = order.chunk
        if chunk is None:
            raise ChunkSeamError(f"chunk {order.chunk_id} did not come with its order")
        if chunk.chunk_id == self._begun_chunk_id:
            # Its first row may lie near by all the same: a path that comes back.
            raise ChunkSeamError("the arm was stopped in it, and it begins only once")
        self._begun_chunk_id = chunk.chunk_id
        if isinstance(self._motion, ChunkMotion):
            self._motion.join(chunk)
        else:
            self._motion = ChunkMotion(self._point, chunk, self._limits.period_s)

    def _settle(self, point: JointPoint) -> None:
        self._point = point
        self._motion = RestMotion(point, self._limits)
        self._is_pending = False
