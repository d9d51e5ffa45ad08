"""Where things stand in the cell, as plain numbers: SI units, robot base frame."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from cell.contracts.units import rad_from_deg
from ops.settings import Settings

OVERHEAD_FOVY_DEG: Final = 32.0
WRIST_FOVY_DEG: Final = 58.0


@dataclass(frozen=True, eq=False)
class CameraMount:
    """One camera as the scene builds it.

    Attributes:
        parent_from_camera: optical frame (z forward, x right, y down) in its parent:
            base for the overhead camera, flange for the wrist camera.
        width_px: image width.
        height_px: image height.
        fovy_deg: vertical field of view.
    """

    parent_from_camera: Pose
    width_px: int
    height_px: int
    fovy_deg: float


@dataclass(frozen=True, eq=False)
class SceneGeometry:
    """Fixtures, cameras and tool of the cell.

    Attributes:
        base_from_bin: centre of the bin floor's upper side.
        bin_floor_size_m: inner floor, along the bin's x and y.
        bin_wall_height_m: vertical height of the walls above the floor.
        bin_wall_slope_rad: lean of the walls, outward from vertical.
        base_from_outfeed: centre of the plate's upper side.
        outfeed_size_m: plate, along its x and y.
        overhead: the camera above the bin.
        wrist: the camera on the flange, if there is one.
        flange_from_tcp: tool centre point, between the fingertips.
        home_q_rad: resting joint position, shape (6,) [rad].
    """

    base_from_bin: Pose
    bin_floor_size_m: tuple[float, float]
    bin_wall_height_m: float
    bin_wall_slope_rad: float
    base_from_outfeed: Pose
    outfeed_size_m: tuple[float, float]
    overhead: CameraMount
    wrist: CameraMount | None
    flange_from_tcp: Pose
    home_q_rad: tuple[float, ...]

    @property
    def bin_opening_size_m(self) -> tuple[float, float]:
        """Inner size of the bin at the upper edge of its walls."""
        flare = 2 * self.bin_wall_height_m * float(np.tan(self.bin_wall_slope_rad))
        return (self.bin_floor_size_m[0] + flare, self.bin_floor_size_m[1] + flare)

    @cached_property
    def bin_from_base(self) -> Pose:
        """Coordinates relative to the centre of the bin floor."""
        return self.base_from_bin.inverse()

    @cached_property
    def outfeed_from_base(self) -> Pose:
        """Coordinates relative to the centre of the outfeed plate."""
        return self.base_from_outfeed.inverse()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the geometry out of the configuration.

        Raises:
            ConfigError: a camera is mounted where the scene cannot build it.
        """
        cell, arm = settings.cell, settings.arm
        return cls(
            base_from_bin=cell.bin.base_from_bin.pose(),
            bin_floor_size_m=cell.bin.floor_size_m,
            bin_wall_height_m=cell.bin.wall_height_m,
            bin_wall_slope_rad=rad_from_deg(cell.bin.wall_slope_deg),
            base_from_outfeed=cell.outfeed.base_from_outfeed.pose(),
            outfeed_size_m=cell.outfeed.size_m,
            overhead=_overhead_mount(settings),
            wrist=_wrist_mount(settings),
            flange_from_tcp=arm.flange_from_tcp.pose(),
            home_q_rad=arm.home_q_rad,
        )


def _overhead_mount(settings: Settings) -> CameraMount:
    base_from_camera = settings.cameras["overhead"].base_from_camera
    if base_from_camera is None:
        raise ConfigError(
            "cameras.overhead: the virtual cell needs base_from_camera, for this"
            " camera stands on the table"
        )
    return CameraMount(base_from_camera.pose(), 320, 240, OVERHEAD_FOVY_DEG)


def _wrist_mount(settings: Settings) -> CameraMount | None:
    camera = settings.cameras.get("wrist")
    if camera is None:
        return None
    if camera.flange_from_camera is None:
        raise ConfigError(
            "cameras.wrist: the virtual cell needs flange_from_camera, for this"
            " camera rides on the arm"
        )
    return CameraMount(camera.flange_from_camera.pose(), 160, 120, WRIST_FOVY_DEG)
