"""Where grasps may be: the bin, its walls, and the grid that the heightmap lies on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cell.contracts.fingers import WALL_CLEARANCE_M
from cell.contracts.geometry import Pose
from policies.runtime.fingers import FingerGeometry

FloatMap = NDArray[np.float32]

BAR_REACH_M = 0.0015
"""The chunk check encloses the pads in round bars, which reach this far beyond their
corners towards a wall: what it would refuse is not proposed."""

EDGE_MARGIN_M = 0.012
"""Width of the strip inside the bin's upper edge whose heights are not trusted."""


@dataclass(frozen=True)
class HeightmapGrid:
    """A square grid centred on the bin.

    Attributes:
        size_px: side of the map.
        pixel_m: size of one cell.
    """

    size_px: int
    pixel_m: float

    def centres_m(self) -> NDArray[np.float64]:
        """Return the coordinate of each cell centre along one axis, shape (n,) [m]."""
        middle = (self.size_px - 1) / 2
        return np.asarray(
            (np.arange(self.size_px) - middle) * self.pixel_m, dtype=np.float64
        )


@dataclass(frozen=True, eq=False)
class GraspWorkspace:
    """The bin, the tool and the grid, as grasp policies see them.

    Attributes:
        grid: of the heightmap.
        base_from_bin: centre of the bin floor.
        floor_size_m: inner floor along the bin's x and y.
        wall_height_m: height of the walls above the floor.
        wall_slope_rad: lean of the walls, outward from vertical.
        fingers: shape of the gripper.
        flange_to_tcp_m: distance from the flange to the tool centre point, along z.
        approach_height_m: how far the pregrasp lies above the grasp.
        preferred_yaw_rad: tool yaw that costs the wrist least; a grasp turned by half
            a turn is the same grasp.
    """

    grid: HeightmapGrid
    base_from_bin: Pose
    floor_size_m: tuple[float, float]
    wall_height_m: float
    wall_slope_rad: float
    fingers: FingerGeometry
    flange_to_tcp_m: float
    approach_height_m: float
    preferred_yaw_rad: float = 0.0

    def wall_heights_m(
        self,
        x_m: NDArray[np.float64],
        y_m: NDArray[np.float64],
        clearance_m: float = 0.0,
    ) -> NDArray[np.float64]:
        """Return the height of the bin's surface above its floor, 0 over the floor.

        Args:
            x_m: bin coordinates, any shape.
            y_m: the same shape.
            clearance_m: of a surface that lies this far inward of the walls.
        """
        # Sideways a wall that leans is further away than square to it.
        aside_m = clearance_m / float(np.cos(self.wall_slope_rad))
        outside = aside_m + np.maximum(
            np.abs(x_m) - self.floor_size_m[0] / 2,
            np.abs(y_m) - self.floor_size_m[1] / 2,
        )
        lean = max(float(np.tan(self.wall_slope_rad)), 1e-6)
        heights_m = np.clip(outside / lean, 0.0, self.wall_height_m)
        # Over the rim it lies above it.
        return heights_m + clearance_m * (heights_m >= self.wall_height_m)

    def opening_half_m(self) -> tuple[float, float]:
        """Return half the inner size of the bin at the upper edge of its walls."""
        flare = self.wall_height_m * float(np.tan(self.wall_slope_rad))
        return self.floor_size_m[0] / 2 + flare, self.floor_size_m[1] / 2 + flare

    def inside_opening(self) -> NDArray[np.bool_]:
        """Return which cells lie within the bin, shape (n, n)."""
        centres = self.grid.centres_m()
        half_x, half_y = self.opening_half_m()
        return np.asarray(
            (np.abs(centres)[None, :] <= half_x - EDGE_MARGIN_M)
            & (np.abs(centres)[:, None] <= half_y - EDGE_MARGIN_M)
        )

    def bin_heights_m(self) -> FloatMap:
        """Return the heightmap of the empty bin, shape (n, n) [m]."""
        # A heightmap shows the highest point of a cell: its outer edge.
        outer_m = np.abs(self.grid.centres_m()) + self.grid.pixel_m / 2
        x_m, y_m = np.meshgrid(outer_m, outer_m)
        return self.wall_heights_m(x_m, y_m).astype(np.float32)

    def compute_lowest_tips_m(
        self,
        x_m: NDArray[np.float64],
        y_m: NDArray[np.float64],
        yaw_rad: float,
        aperture_m: float,
    ) -> NDArray[np.float64]:
        """Return how low the closed tips may go with every finger clear of the bin.

        Args:
            x_m: bin coordinates of the tool centre point, any shape.
            y_m: the same shape.
            yaw_rad: tool yaw in the bin frame.
            aperture_m: opening on the way down.

        Returns:
            Height of the closed tips above the floor [m], the shape of `x_m`.
        """
        fingers = self.fingers
        lowest = np.full(x_m.shape, -np.inf)
        boxes = []
        # Tips come down while they close.
        closing = [opening for opening in fingers.apertures_m if opening < aperture_m]
        for opening_m in (aperture_m, *closing):
            rise_m = fingers.rise_m(opening_m)
            boxes += [
                (opening_m / 2 + fingers.pad_thickness_m, rise_m),
                (
                    opening_m / 2 + fingers.knuckle_thickness_m,
                    rise_m + fingers.knuckle_rise_m,
                ),
            ]
        # Walls are convex towards the bin's centre, so corners of the boxes suffice.
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        for reach_m, bottom_m in boxes:
            for u in (-reach_m, reach_m):
                for v in (-fingers.pad_width_m / 2, fingers.pad_width_m / 2):
                    wall = self.wall_heights_m(
                        x_m + u * cos - v * sin,
                        y_m + u * sin + v * cos,
                        WALL_CLEARANCE_M + BAR_REACH_M,
                    )
                    lowest = np.maximum(lowest, wall - bottom_m)
        return np.asarray(np.maximum(lowest, self.wall_heights_m(x_m, y_m)))
