"""Finger opening to the gripper's position counts and back. Pure."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

OPEN_COUNT = 0
CLOSED_COUNT = 255


@dataclass(frozen=True)
class ApertureMap:
    """A monotone curve through measured points.

    Attributes:
        points: pairs of position count and opening [m]; counts rise, openings fall.
    """

    points: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        """Refuse a curve that cannot be inverted.

        Raises:
            ValueError: fewer than two points, or not strictly monotone.
        """
        is_monotone = all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(self.points))
        if len(self.points) < 2 or not is_monotone:
            raise ValueError(
                "aperture points need at least two pairs with rising counts and"
                f" falling openings, got {self.points}"
            )

    @classmethod
    def linear(cls, max_aperture_m: float) -> Self:
        """Build the curve of an uncalibrated gripper: 0 open, 255 closed."""
        return cls(((OPEN_COUNT, max_aperture_m), (CLOSED_COUNT, 0.0)))

    def aperture_m(self, count: float) -> float:
        """Return the opening at a position count [m]."""
        counts, openings = zip(*self.points, strict=True)
        return float(np.interp(count, counts, openings))

    def count(self, aperture_m: float) -> int:
        """Return the position count for an opening [m], within the gripper's range."""
        counts, openings = zip(*reversed(self.points), strict=True)
        return round(float(np.interp(aperture_m, openings, counts)))
