"""Optics and noise of the virtual cameras: what their data sheets would say."""

from dataclasses import dataclass, field
from typing import Final

import mujoco
import numpy as np

from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics
from cell.drivers.camera.frame_feed import FeedGreeting, FeedPair, LensConfig
from sim2real.scene.geometry import CameraMount
from sim2real.virtual_cell.depth_noise import (
    StereoNoise,
    apply_color_noise,
    apply_depth_noise,
)
from sim2real.virtual_cell.renderer import ImagerPair, SceneRenderer

DEPTH_UNIT_M: Final = 0.0001
"""One step of a depth value; 16 bits reach 6.5 m."""

_COLOR_SIGMA: Final = 1.5
# Depth imagers see more than colour imagers. It also keeps the SDK's alignment from
# rounding whole rows of pixels away, as it does for two equal lenses.
_DEPTH_FOCAL_RATIO: Final = 0.93
# Between the imagers: as on a D435 above the bin, none as on a D405 at the wrist.
_BASELINES_M: Final = {"overhead": 0.015, "wrist": 0.0}
_FLIP: Final = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, eq=False)
class VirtualCamera:
    """One RGB-D camera of the virtual cell.

    Attributes:
        name: of the camera in scene and configuration.
        camera_id: of the colour imager in the model.
        imagers: its optics.
        noise: of its depth.
    """

    name: str
    camera_id: int
    imagers: ImagerPair
    noise: StereoNoise = field(default_factory=StereoNoise)

    def make_greeting(self, rate_hz: float, serial: str = "") -> FeedGreeting:
        """Return what the feed says of this camera, by its rate and serial number."""
        shift = self.imagers.color_from_depth
        x, y, z = (float(value) for value in shift.position_m)
        rx, ry, rz = (float(value) for value in shift.as_rotvec())
        return FeedGreeting(
            camera=self.name,
            serial=serial,
            rate_hz=rate_hz,
            color=LensConfig.from_intrinsics(self.imagers.color),
            depth=LensConfig.from_intrinsics(self.imagers.depth),
            color_from_depth_position_m=(x, y, z),
            color_from_depth_rotvec_rad=(rx, ry, rz),
            depth_unit_m=DEPTH_UNIT_M,
        )

    def take(
        self,
        renderer: SceneRenderer,
        data: mujoco.MjData,
        number: int,
        device_time_us: int,
        rng: np.random.Generator,
    ) -> FeedPair:
        """Take a noisy pair of the present state, whose positions must be computed."""
        rgb, depth_m = renderer.render(
            data, read_world_from_camera(data, self.camera_id), self.imagers
        )
        noisy_m = apply_depth_noise(depth_m, self.noise, rng)
        return FeedPair(
            number=number,
            device_time_us=device_time_us,
            rgb=apply_color_noise(rgb, _COLOR_SIGMA, rng),
            depth=np.rint(noisy_m / np.float32(DEPTH_UNIT_M)).astype(np.uint16),
        )


def make_virtual_camera(
    name: str, camera_id: int, mount: CameraMount, noise: StereoNoise | None = None
) -> VirtualCamera:
    """Build the optics of a camera of the scene."""
    color = compute_lens(mount.width_px, mount.height_px, mount.fovy_deg)
    depth = Intrinsics(
        color.width_px,
        color.height_px,
        _DEPTH_FOCAL_RATIO * color.fx_px,
        _DEPTH_FOCAL_RATIO * color.fy_px,
        color.cx_px,
        color.cy_px,
    )
    baseline_m = _BASELINES_M.get(name, 0.0)
    shift = Pose(np.array([baseline_m, 0.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0]))
    imagers = ImagerPair(color, depth, shift)
    return VirtualCamera(name, camera_id, imagers, noise or StereoNoise())


def compute_lens(width_px: int, height_px: int, fovy_deg: float) -> Intrinsics:
    """Return the pinhole model of a camera by its vertical field of view."""
    focal_px = height_px / 2 / float(np.tan(np.radians(fovy_deg) / 2))
    return Intrinsics(
        width_px, height_px, focal_px, focal_px, (width_px - 1) / 2, (height_px - 1) / 2
    )


def read_world_from_camera(data: mujoco.MjData, camera_id: int) -> Pose:
    """Return the optical frame of a camera of the scene in the world."""
    matrix = np.eye(4)
    # MuJoCo cameras look along -z with y up; optical frames look along +z, y down.
    matrix[:3, :3] = data.cam_xmat[camera_id].reshape(3, 3) @ _FLIP
    matrix[:3, 3] = data.cam_xpos[camera_id]
    return Pose.from_matrix(matrix)
