"""Fill the bin: drop parts at random above it and let them come to rest.

The same scene, generator state and count give the same clutter, bit for bit.
"""

from typing import Final

import mujoco
import numpy as np

from sim2real.scene.build import TIMESTEP_S, Scene, is_parked, park_part, place_part

DROP_CLEARANCE_M: Final = 0.05
DROP_PITCH_M: Final = 0.075
_LAYER_SIZE: Final = 4


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
    return int(
        sum(
            not is_parked(scene, index) and is_in_bin(scene, index)
            for index in range(len(scene.parts))
        )
    )


def is_in_bin(scene: Scene, index: int) -> bool:
    """Return whether a part's centre is within the bin's opening and near its depth."""
    position = scene.data.xpos[scene.part_handles.bodies[index]]
    local = scene.geometry.base_from_bin.inverse().apply(position)
    width, depth = scene.geometry.bin_opening_size_m
    height = scene.geometry.bin_wall_height_m + 0.06
    inside = abs(local[0]) < width / 2 and abs(local[1]) < depth / 2
    return bool(inside and -0.005 < local[2] < height)
