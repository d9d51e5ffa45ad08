"""The scene that the world moves and the virtual camera looks at: the same for both."""

from typing import Literal

import numpy as np

from ops.settings import Settings
from sim2real.scene.build import Scene, build_scene, use_dense_solver
from sim2real.scene.geometry import SceneGeometry
from sim2real.scene.parts import sample_parts
from sim2real.virtual_cell.links import MAX_PARTS


def build_world_scene(
    settings: Settings, visual: Literal["collision", "full"] = "collision"
) -> Scene:
    """Compile the cell of a configuration; equal seeds give equal parts.

    Raises:
        ConfigError: a camera is mounted where the scene cannot build it.
    """
    rng = np.random.default_rng(settings.virtual_cell.seed)
    parts = sample_parts(MAX_PARTS, rng)
    scene = build_scene(parts, SceneGeometry.from_settings(settings), visual=visual)
    use_dense_solver(scene)
    return scene
