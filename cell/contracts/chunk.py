"""Chunks of joint positions with a pace of their own, and where one joins another."""

from dataclasses import dataclass
from typing import Final

from cell.contracts.geometry import Vector

LONGEST_CHUNK: Final = 64
"""Rows of one chunk; a second and more at the pace of any policy."""

SHORTEST_STEP_S: Final = 0.01
LONGEST_STEP_S: Final = 0.5


@dataclass(frozen=True, eq=False)
class TimedChunk:
    """Joint positions to be passed at an even pace, the first one at the seam.

    A chunk joins the path of an earlier one at a place that has not been consumed yet:
    the seam. There it leaves that path with its position, velocity and acceleration. It
    ends at rest, after a short run-out, unless another one joins it before.

    Attributes:
        chunk_id: rises with every chunk; never 0.
        after_id: chunk whose path it leaves, 0 to begin at rest.
        after_s: seam, in the time of that chunk [s].
        step_s: time between two rows [s].
        q: joint positions, shape (rows, 6) [rad]; the first one is where the seam
            should be, which tells how far off it is.
    """

    chunk_id: int
    after_id: int
    after_s: float
    step_s: float
    q: Vector
