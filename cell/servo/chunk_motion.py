"""Following chunks that have a pace of their own, and going over from one to the next.

The seam is a place on the path that was checked beforehand, so the change-over happens
when that place has been consumed, whenever that is. A chunk that arrives after its seam
was passed is refused: it was checked for a place where the arm no longer is.
"""

from typing import Final

import numpy as np
import ruckig

from cell.contracts.chunk import TimedChunk
from cell.contracts.errors import ChunkSeamError
from cell.kinematics.timed_path import TimedPath
from cell.servo.motions import JointPoint

# Pace at which the pace changes: from rest to full in about half a second.
_RATIO_RATE_PER_S: Final = 3.0
_RATIO_JERK_PER_S2: Final = 30.0
_START_RAD: Final = 0.01


class ChunkMotion:
    """Consumes one chunk after the other; its time goes slower when speed is reduced.

    Attributes:
        is_done: the path has come to its end, at rest.
        chunk_id: chunk that is being consumed.
        consumed_s: how much of it was, in its own time [s].
    """

    def __init__(self, start: JointPoint, chunk: TimedChunk, period_s: float) -> None:
        """Begin with a chunk that starts from rest.

        Raises:
            ChunkSeamError: it belongs behind another one, or begins elsewhere.
        """
        if chunk.after_id != 0 or chunk.after_s != 0.0:
            raise ChunkSeamError(f"chunk {chunk.after_id} is not being followed")
        if start.qd.any():
            raise ChunkSeamError("the arm moves: a first chunk begins at rest")
        if not float(np.max(np.abs(chunk.q[0] - start.q))) <= _START_RAD:
            raise ChunkSeamError("the chunk does not begin where the arm rests")
        self.chunk_id = chunk.chunk_id
        self.consumed_s = 0.0
        self.is_done = False
        self._period_s = period_s
        still = np.vstack([start.q, np.zeros((2, 6))])
        self._path = TimedPath.through(still, chunk.q[1:], chunk.step_s)
        self._next: tuple[TimedChunk, TimedPath] | None = None
        self._pace = _Pace(period_s)

    def join(self, chunk: TimedChunk) -> None:
        """Take the chunk that follows; it replaces one that was not reached yet.

        Raises:
            ChunkSeamError: it belongs behind another one, or its seam was passed.
        """
        if chunk.after_id != self.chunk_id:
            raise ChunkSeamError(
                f"it belongs behind chunk {chunk.after_id}, the arm is in"
                f" {self.chunk_id}"
            )
        if self.is_done or not chunk.after_s > self.consumed_s:
            raise ChunkSeamError(
                f"its seam at {chunk.after_s:.3f} s was passed:"
                f" {self.consumed_s:.3f} s are consumed"
            )
        start = self._path.sample(chunk.after_s)
        path = TimedPath.through(start, chunk.q[1:], chunk.step_s)
        self._next = (chunk, path)

    def step(self, speed_ratio: float) -> JointPoint:
        """Return the point of the next cycle, at 0..1 of the chunk's own pace."""
        pace = self._pace.step(speed_ratio)
        self.consumed_s += pace * self._period_s
        if self._next is not None and self.consumed_s >= self._next[0].after_s:
            chunk, self._path = self._next
            self._next = None
            self.chunk_id = chunk.chunk_id
            self.consumed_s -= chunk.after_s
        point = self._path.sample(self.consumed_s)
        if self.consumed_s >= self._path.duration_s and self._next is None:
            self.is_done = True
            return JointPoint.at_rest(point[0])
        return JointPoint(point[0], point[1] * pace, point[2] * pace * pace)


class _Pace:
    """How fast the time of a chunk goes; after the begin it changes gradually."""

    def __init__(self, period_s: float) -> None:
        self._pace: float | None = None
        self._otg = ruckig.Ruckig(1, period_s)
        self._out = ruckig.OutputParameter(1)
        self._in = ruckig.InputParameter(1)
        self._in.control_interface = ruckig.ControlInterface.Velocity
        self._in.max_acceleration = [_RATIO_RATE_PER_S]
        self._in.max_jerk = [_RATIO_JERK_PER_S2]

    def step(self, speed_ratio: float) -> float:
        if self._pace is None:
            # A first chunk begins at rest, so any pace will do.
            self._pace = speed_ratio
            self._in.current_velocity = [speed_ratio]
        elif speed_ratio != self._pace or self._in.current_acceleration[0] != 0.0:
            self._in.target_velocity = [speed_ratio]
            self._otg.update(self._in, self._out)
            self._out.pass_to_input(self._in)
            self._pace = float(self._out.new_velocity[0])
        return self._pace
