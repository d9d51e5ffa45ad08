"""Fill the bin: drop parts at random above it and let them come to rest.

The same scene, generator state and count give the same clutter, bit for bit.
"""

from typing import Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.scene.build import (
    TIMESTEP_S,
    Scene,
    park_part,
    place_part,
    read_part_positions,
)

DROP_CLEARANCE_M: Final = 0.05
DROP_PITCH_M: Final = 0.075
_LAYER_SIZE: Final = 4
# A part on a pile may lie this far above the rim and still be in the bin.
_PILE_M: Final = 0.06


def drop_parts(scene: Scene, rng: np.random.Generator, count: int) -> list[int]:
    """Place parts of the pool in the air above the bin; every other part is parked.

    Run `settle` afterwards. Parts come in layers of four, so that none starts inside
    another.

    Args:
        scene: its pool must hold at least `count` parts.
        rng: chooses parts, places and orientations.
        count: how many.

    Returns:
        Indices of the dropped parts.

    Raises:
        ValueError: the pool is too small.
    """
    if count > len(scene.parts):
        raise ValueError(
            f"the pool holds {len(scene.parts)} parts, {count} were asked for"
        )
    for index in range(len(scene.parts)):
        park_part(scene, index)
    chosen = [int(i) for i in rng.permutation(len(scene.parts))[:count]]
    poses = sample_drop_poses(scene, rng, count)
    for index, (position, quat) in zip(chosen, poses, strict=True):
        place_part(scene, index, position, quat)
    mujoco.mj_forward(scene.model, scene.data)
    return chosen


def sample_drop_poses(
    scene: Scene, rng: np.random.Generator, count: int
) -> list[tuple[list[float], list[float]]]:
    """Draw non-touching start poses above the bin, lowest first.

    Returns:
        Position in base [m] and orientation (w, x, y, z) of each.
    """
    geometry = scene.geometry
    pitch = np.array(geometry.bin_floor_size_m) / 4
    quadrants = np.array([[-1, -1], [1, 1], [-1, 1], [1, -1]]) * pitch
    poses = []
    for number in range(count):
        layer, slot = divmod(number, _LAYER_SIZE)
        if slot == 0:
            quadrants = quadrants[rng.permutation(_LAYER_SIZE)]
        jitter = rng.uniform(-0.025, 0.025, 2)
        height = DROP_CLEARANCE_M + DROP_PITCH_M * layer + rng.uniform(0.0, 0.005)
        local = np.array([*(quadrants[slot] + jitter), height])
        quat = rng.normal(size=4)
        quat /= np.linalg.norm(quat)
        poses.append((geometry.base_from_bin.apply(local).tolist(), quat.tolist()))
    return poses


def settle(scene: Scene, seconds: float) -> None:
    """Run the physics for a while with the arm holding still."""
    for _ in range(round(seconds / TIMESTEP_S)):
        mujoco.mj_step(scene.model, scene.data)


def count_in_bin(scene: Scene) -> int:
    """Return how many parts lie in the bin."""
    return int(find_in_bin(scene).sum())


def is_in_bin(scene: Scene, index: int) -> bool:
    """Return whether a part lies in the bin."""
    return bool(find_in_bin(scene)[index])


def find_in_bin(scene: Scene) -> NDArray[np.bool_]:
    """Return for each part whether its centre is within the bin, shape (parts,)."""
    geometry = scene.geometry
    local = geometry.bin_from_base.apply(read_part_positions(scene))
    half = np.array(geometry.bin_opening_size_m) / 2
    height = geometry.bin_wall_height_m + _PILE_M
    inside = (np.abs(local[:, :2]) < half).all(axis=1)
    return np.asarray(inside & (local[:, 2] > -0.005) & (local[:, 2] < height))
