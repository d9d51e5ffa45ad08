"""Shape of a two-finger gripper, as far as it can touch something.

The fingers of a linkage gripper move on arcs: the further they are open, the higher
their tips. All heights here are therefore those of the closed tips, from which the
tips of open fingers follow by `rise_m`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

WALL_CLEARANCE_M: Final = 0.004
"""Fingers keep this far from the walls of the bin.

Parts in their way push the arm aside: by 2 mm at 180 N, by 4 mm at 330 N, which is
twice the force at which the guard ends a motion (measured in the virtual cell).
"""


@dataclass(frozen=True)
class FingerGeometry:
    """A gripper whose fingers close along the tool's x axis.

    Attributes:
        pad_width_m: extent of a pad along the tool's y axis.
        pad_thickness_m: extent of a finger outward from its pad surface, near the tip.
        knuckle_thickness_m: the same further up, at the widest part of the linkage.
        knuckle_rise_m: height of the widest part above the tip of the open finger.
        closed_tip_m: distance from the flange to the tips of the closed fingers.
        apertures_m: apertures of the table, rising.
        rises_m: how far the tips at those apertures stay above the closed tips.
    """

    pad_width_m: float
    pad_thickness_m: float
    knuckle_thickness_m: float
    knuckle_rise_m: float
    closed_tip_m: float
    apertures_m: tuple[float, ...]
    rises_m: tuple[float, ...]

    def rise_m(self, aperture_m: float) -> float:
        """Return how far open tips stay above the closed ones."""
        return float(np.interp(aperture_m, self.apertures_m, self.rises_m))
