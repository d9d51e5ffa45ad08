"""The handbook's picture of the cell: `python -m sim2real.scene.picture OUT.png`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import mujoco
import numpy as np

from cell.contracts.geometry import Pose
from cell.kinematics.inverse import solve_ik
from ops.settings import load_settings
from sim2real.scene.build import Scene, build_scene, place_part
from sim2real.scene.clutter import drop_parts, settle
from sim2real.scene.geometry import SceneGeometry
from sim2real.scene.gripper import compute_control
from sim2real.scene.handles import ArmHandles
from sim2real.scene.parts import sample_parts
from sim2real.scene.render import Viewpoint, render_picture

_SEED: Final = 5
_PARTS_IN_BIN: Final = 16
_LIFT_M: Final = 0.22


def main(argv: Sequence[str] | None = None) -> int:
    """Render the cell with a part in its gripper."""
    parser = argparse.ArgumentParser(prog="picture")
    parser.add_argument("path", type=Path)
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=800)
    arguments = parser.parse_args(argv)
    geometry = SceneGeometry.from_settings(load_settings(arguments.config))
    scene = compose_scene(geometry)
    render_picture(
        scene, arguments.path, arguments.width, arguments.height, Viewpoint()
    )
    return 0


def compose_scene(geometry: SceneGeometry) -> Scene:
    """Build a cell with a full bin, a part in the gripper and two on their way out."""
    rng = np.random.default_rng(_SEED)
    scene = build_scene(sample_parts(24, rng), geometry, visual="full")
    in_bin = drop_parts(scene, rng, _PARTS_IN_BIN)
    settle(scene, 2.0)
    held, *others = [i for i in range(len(scene.parts)) if i not in in_bin]
    if scene.arm is not None:
        _hold(scene, scene.arm, held)
    _lay_out(scene, others[:2])
    mujoco.mj_forward(scene.model, scene.data)
    return scene


def _hold(scene: Scene, arm: ArmHandles, part: int) -> None:
    """Let the fingers close on a weightless part above the bin."""
    geometry, data = scene.geometry, scene.data
    place = geometry.base_from_bin.apply(np.array([0.01, -0.01, _LIFT_M]))
    pose = Pose.tool_down(place.tolist(), -0.94)
    q = solve_ik(pose, geometry.flange_from_tcp, np.array(geometry.home_q_rad))
    if q is None:
        raise ValueError("the arm does not reach the place above the bin")
    data.qpos[arm.qpos] = q
    data.ctrl[arm.actuators] = q
    place_part(scene, part, place.tolist(), pose.quat_wxyz.tolist())
    data.qvel[:] = 0.0
    scene.model.body_gravcomp[scene.part_handles.bodies[part]] = 1.0
    for aperture_m in np.linspace(0.085, 0.0, 250):
        data.ctrl[arm.gripper_actuator] = compute_control(float(aperture_m))
        mujoco.mj_step(scene.model, data)


def _lay_out(scene: Scene, parts: Sequence[int]) -> None:
    """Put parts on the plate and on the belt behind it, which only pictures have."""
    for number, part in enumerate(parts):
        half_height = scene.parts[part].size_m[2] / 2
        local = np.array([0.02 + 0.17 * number, 0.0, half_height])
        place = scene.geometry.base_from_outfeed.apply(local)
        place_part(scene, part, place.tolist(), [0.92, 0.0, 0.0, 0.39])


if __name__ == "__main__":
    sys.exit(main())
