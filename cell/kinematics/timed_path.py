"""A path through joint space with a pace: quintic pieces between knots.

Each knot has a position, a velocity and an acceleration, and both ends of a piece meet
theirs exactly, so all three are continuous along the path and across a seam. It ends at
rest.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled

RUN_OUT_RADPS2: Final = 6.0
"""Mean deceleration of the run-out behind the last row; its peak is half as much
again."""

_SHORTEST_RUN_OUT_S: Final = 0.05


@dataclass(frozen=True, eq=False)
class TimedPath:
    """Knots of one path.

    Attributes:
        times_s: of each knot, rising from 0, shape (knots,) [s].
        knots: position, velocity and acceleration of each, shape (knots, 3, 6).
    """

    times_s: Vector
    knots: Vector

    @classmethod
    def at_rest(cls, q: Vector) -> Self:
        """Return the path that stays at `q`, shape (6,) [rad]."""
        knot = np.zeros((1, 3, 6))
        knot[0, 0] = q
        return cls(np.zeros(1), knot)

    @classmethod
    def through(cls, start: Vector, rows: Vector, step_s: float) -> Self:
        """Return the path from a state through rows at an even pace to rest.

        Velocities and accelerations at the rows are those of central differences; the
        last row is followed by a run-out.

        Args:
            start: position, velocity and acceleration, shape (3, 6).
            rows: positions that follow, each `step_s` after the one before, shape
                (rows, 6) [rad], at least one.
            step_s: time between two rows [s].
        """
        count = len(rows)
        places = np.vstack([start[:1], rows])
        knots = np.zeros((count + 2, 3, 6))
        knots[0] = start
        knots[1:-1, 0] = rows
        knots[1:-2, 1] = (places[2:] - places[:-2]) / (2.0 * step_s)
        knots[1:-2, 2] = (places[2:] - 2.0 * places[1:-1] + places[:-2]) / step_s**2
        speed = (places[-1] - places[-2]) / step_s
        knots[-2, 1] = speed
        fastest = float(np.max(np.abs(speed)))
        run_out_s = max(fastest / RUN_OUT_RADPS2, _SHORTEST_RUN_OUT_S)
        knots[-1, 0] = rows[-1] + 0.5 * run_out_s * speed
        times_s = np.append(np.arange(count + 1) * step_s, count * step_s + run_out_s)
        return cls(times_s, knots)

    @property
    def duration_s(self) -> float:
        """Return the time of the last knot [s]."""
        return float(self.times_s[-1])

    def sample(self, time_s: float) -> Vector:
        """Return position, velocity and acceleration at a time, shape (3, 6).

        Before the begin it is the first knot, after the end rest.
        """
        point = np.empty((3, 6))
        fill_path_point(self.times_s, self.knots, time_s, point)
        return point


@compiled
def fill_path_point(
    times_s: Vector, knots: Vector, time_s: float, point: Vector
) -> None:
    """Write position, velocity and acceleration at `time_s` into `point`, (3, 6)."""
    last = len(times_s) - 1
    if last == 0 or not time_s < times_s[last]:
        for i in range(6):
            point[0, i] = knots[last, 0, i]
            point[1, i] = 0.0
            point[2, i] = 0.0
        return
    piece = 0
    while piece < last - 1 and time_s >= times_s[piece + 1]:
        piece += 1
    span = times_s[piece + 1] - times_s[piece]
    t = max(time_s - times_s[piece], 0.0)
    u = t / span
    for i in range(6):
        v0, v1 = knots[piece, 1, i] * span, knots[piece + 1, 1, i] * span
        a0 = knots[piece, 2, i] * span * span
        a1 = knots[piece + 1, 2, i] * span * span
        way = knots[piece + 1, 0, i] - knots[piece, 0, i]
        # The quintic with both ends' position, velocity and acceleration (Hermite).
        c3 = 10.0 * way - 6.0 * v0 - 4.0 * v1 - 1.5 * a0 + 0.5 * a1
        c4 = -15.0 * way + 8.0 * v0 + 7.0 * v1 + 1.5 * a0 - a1
        c5 = 6.0 * way - 3.0 * (v0 + v1) - 0.5 * (a0 - a1)
        point[0, i] = knots[piece, 0, i] + u * (
            v0 + u * (0.5 * a0 + u * (c3 + u * (c4 + u * c5)))
        )
        point[1, i] = (
            v0 + u * (a0 + u * (3.0 * c3 + u * (4.0 * c4 + u * 5.0 * c5)))
        ) / span
        point[2, i] = (a0 + u * (6.0 * c3 + u * (12.0 * c4 + u * 20.0 * c5))) / (
            span * span
        )
