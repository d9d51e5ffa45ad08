"""What a robot's force sensor adds to the force at the tool."""

import math
import random
from typing import Final

FORCE_SIGMA_N: Final = 1.2
"""Noise of a sample: the 3.5 N precision of a UR5e's data sheet as three sigma."""

FORCE_DRIFT_N: Final = 0.15
"""How far the zero wanders within one period of the supervisor's 50 Hz."""

FORCE_ZERO_SIGMA_N: Final = 2.0
"""Where the zero is in the long run: the 4 N accuracy of the data sheet as 2 sigma."""

_DRIFT_PERIOD_S: Final = 0.02


class ForceNoise:
    """Noise and a zero that wanders, at the pace of the robot controller."""

    def __init__(self, seed: int, period_s: float) -> None:
        """Begin at a zero that is right.

        Args:
            seed: of what is drawn.
            period_s: time between two samples [s].
        """
        self._rng = random.Random(seed)  # noqa: S311  (noise, no secret)
        step_n = FORCE_DRIFT_N * math.sqrt(period_s / _DRIFT_PERIOD_S)
        self._step_n = step_n
        self._keep = 1.0 - 0.5 * (step_n / FORCE_ZERO_SIGMA_N) ** 2
        self._zero_n = (0.0, 0.0, 0.0)

    def disturb(self, wrench: tuple[float, ...]) -> tuple[float, ...]:
        """Return the wrench as the robot reports it; torques as they are."""
        gauss, keep, step_n = self._rng.gauss, self._keep, self._step_n
        x, y, z = self._zero_n
        self._zero_n = (
            keep * x + gauss(0.0, step_n),
            keep * y + gauss(0.0, step_n),
            keep * z + gauss(0.0, step_n),
        )
        forces = (
            force + zero + gauss(0.0, FORCE_SIGMA_N)
            for force, zero in zip(wrench[:3], self._zero_n, strict=True)
        )
        return (*forces, *wrench[3:])
