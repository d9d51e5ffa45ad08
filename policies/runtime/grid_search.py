"""Picks the best grasps that lie apart out of a network's whole answer, in one sweep.

Sorting half a million scores would cost as much as a tenth of the network itself.
"""

import numpy as np
from numpy.typing import NDArray

from cell.kinematics.compiled import compiled

FloatMap = NDArray[np.float32]


@compiled
def count_unsound(score: FloatMap, tip_m: FloatMap) -> int:
    """Return how many answers are no probability, or no height.

    Args:
        score: flat scores.
        tip_m: tip heights, same length.
    """
    # Counting without a branch lets the compiler take many at a time.
    count = 0
    for i in range(score.size):
        is_probability = (score[i] >= 0.0) & (score[i] <= 1.0)
        is_height = abs(tip_m[i]) < np.inf
        count += not (is_probability & is_height)
    return count


@compiled
def collect_allowed(
    score: FloatMap, tip_m: FloatMap, lowest_m: FloatMap, minimum: float, share: float
) -> NDArray[np.int64]:
    """Return flat indices of grasps that score enough and clear the bin.

    Args:
        score: flat scores.
        tip_m: tip heights, same length.
        lowest_m: how low the tips may go, same length.
        minimum: least score; a NaN never reaches it.
        share: least share of the best allowed score.
    """
    best = minimum
    for i in range(score.size):
        if score[i] > best and tip_m[i] >= lowest_m[i]:
            best = score[i]
    enough = max(minimum, share * best)
    found = np.empty(score.size, np.int64)
    count = 0
    for i in range(score.size):
        if score[i] >= enough and tip_m[i] >= lowest_m[i]:
            found[count] = i
            count += 1
    return found[:count].copy()


@compiled
def _is_apart(
    x_m: float, y_m: float, points_m: NDArray[np.float64], distance_m: float
) -> bool:
    for k in range(points_m.shape[0]):
        dx, dy = x_m - points_m[k, 0], y_m - points_m[k, 1]
        if dx * dx + dy * dy <= distance_m**2:
            return False
    return True


@compiled
def choose_apart(
    score: NDArray[np.float64],
    x_m: NDArray[np.float64],
    y_m: NDArray[np.float64],
    exclude_m: NDArray[np.float64],
    distances_m: tuple[float, float],
    limits: tuple[int, float],
) -> NDArray[np.int64]:
    """Return positions of the best grasps that lie apart, best first.

    Args:
        score: of each grasp.
        x_m: of each grasp.
        y_m: of each grasp.
        exclude_m: points to stay away from, shape (points, 2).
        distances_m: between grasps, and from excluded points.
        limits: how many grasps, and the least share of the best score.
    """
    count, share = limits
    chosen = np.empty(count, np.int64)
    places_m = np.empty((count, 2))
    floor = -np.inf
    for used in range(count):
        best, best_score = -1, floor
        for i in range(score.size):
            if (
                score[i] > best_score
                and _is_apart(x_m[i], y_m[i], places_m[:used], distances_m[0])
                and _is_apart(x_m[i], y_m[i], exclude_m, distances_m[1])
            ):
                best, best_score = i, score[i]
        if best < 0:
            return chosen[:used].copy()
        chosen[used] = best
        places_m[used, 0], places_m[used, 1] = x_m[best], y_m[best]
        if used == 0:
            floor = share * best_score
    return chosen
