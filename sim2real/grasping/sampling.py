"""Which grasps to label: what geometry or the network believes in, and noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.runtime.candidates import select_apart
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.scene_view import PART_HEIGHT_M, SceneView
from policies.runtime.scripted_policy import ScriptedPolicy

_ENGAGEMENT_MIN_M = 0.008
_SCRIPTED_POOL = 6
_NETWORK_POOL = 6

Cells = NDArray[np.intp]


@dataclass(frozen=True)
class SamplingPlan:
    """How many grasps of each kind to try in a scene.

    Attributes:
        best: the network's best grasps that lie apart.
        near_best: the same with noise on every coordinate.
        scripted: of the scripted policy, with noise.
        random: anywhere on a part.
    """

    best: int
    near_best: int
    scripted: int
    random: int


def sample_grasps(
    policy: HeightmapPolicy,
    scripted: ScriptedPolicy,
    view: SceneView,
    plan: SamplingPlan,
    rng: np.random.Generator,
) -> tuple[Cells, NDArray[np.float32], NDArray[np.float32]]:
    """Choose grasps on the network's grid.

    Returns:
        Angle, aperture, row and column, shape (grasps, 4); the network's score map and
        tip heights, (angles, apertures, n, n).
    """
    score, tip_m = policy.run_network(view.heights_m)
    chosen: list[Cells] = []
    if plan.best or plan.near_best:
        best = _best(policy, score, tip_m)
        if len(best):
            chosen.append(best[: plan.best])
            near = best[rng.integers(0, len(best), plan.near_best)]
            chosen.append(_disturb(near, rng, score.shape, reach_px=2))
    if plan.scripted:
        seeds = _scripted(policy, scripted, view)
        if len(seeds):
            some = seeds[rng.integers(0, len(seeds), plan.scripted)]
            chosen.append(_disturb(some, rng, score.shape, reach_px=3))
    if plan.random:
        chosen.append(_random(policy, view, tip_m, plan.random, rng))
    cells = np.concatenate(chosen) if chosen else np.empty((0, 4), np.intp)
    cells = np.unique(cells, axis=0)
    # A score of exactly 0 marks what the bin's walls forbid.
    allowed = score[tuple(cells.T)] > 0.0
    return cells[allowed], score, tip_m


def _best(
    policy: HeightmapPolicy, score: NDArray[np.float32], tip_m: NDArray[np.float32]
) -> Cells:
    flat = score.reshape(-1)
    index = np.argpartition(-flat, 4096)[:4096]
    chosen = select_apart(policy.pick(index, score, tip_m), (), _NETWORK_POOL)
    return np.column_stack(np.unravel_index(index[chosen], score.shape))


def _scripted(
    policy: HeightmapPolicy, scripted: ScriptedPolicy, view: SceneView
) -> Cells:
    found = scripted.find_grasps(view.heights_m, view.above_bin_m)
    chosen = select_apart(found, (), _SCRIPTED_POOL)
    cells = [
        policy.nearest_cell(
            float(found.x_m[i]),
            float(found.y_m[i]),
            float(found.yaw_rad[i]),
            float(found.aperture_m[i]),
        )
        for i in chosen
    ]
    return np.array(cells, dtype=np.intp).reshape(-1, 4)


def _random(
    policy: HeightmapPolicy,
    view: SceneView,
    tip_m: NDArray[np.float32],
    count: int,
    rng: np.random.Generator,
) -> Cells:
    on_part = np.argwhere(view.above_bin_m > PART_HEIGHT_M)
    cells = []
    centres = policy.workspace.grid.centres_m()
    for _ in range(20 * count):
        row, col = on_part[rng.integers(len(on_part))]
        cell = policy.nearest_cell(
            float(centres[col]),
            float(centres[row]),
            float(rng.uniform(0.0, np.pi)),
            float(rng.choice(policy.apertures_m)),
        )
        if view.heights_m[row, col] - tip_m[cell] >= _ENGAGEMENT_MIN_M:
            cells.append(cell)
        if len(cells) == count:
            break
    return np.array(cells, dtype=np.intp).reshape(-1, 4)


def _disturb(
    cells: Cells, rng: np.random.Generator, shape: tuple[int, ...], reach_px: int
) -> Cells:
    noisy = cells.copy()
    count = len(cells)
    turned = noisy[:, 0] + rng.integers(-1, 2, count)
    noisy[:, 0] = turned % shape[0]
    # Half a turn on, both axes of the rotated map point the other way.
    wrapped = (turned < 0) | (turned >= shape[0])
    noisy[wrapped, 2:] = shape[2] - 1 - noisy[wrapped, 2:]
    swap = rng.random(count) < 0.3
    noisy[swap, 1] = rng.integers(0, shape[1], int(swap.sum()))
    noisy[:, 2:] += rng.integers(-reach_px, reach_px + 1, (count, 2))
    noisy[:, 2:] = np.clip(noisy[:, 2:], 0, shape[2] - 1)
    return noisy
