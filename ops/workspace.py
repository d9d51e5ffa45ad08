"""The bin and the tool of the configuration, as grasp policies see them."""

import math

import numpy as np

from cell.contracts.units import rad_from_deg
from cell.kinematics import compute_base_from_tcp
from ops.settings import Settings
from policies.runtime.fingers import ROBOTIQ_2F85
from policies.runtime.workspace import GraspWorkspace, HeightmapGrid


def make_workspace(settings: Settings) -> GraspWorkspace:
    """Build the workspace of grasp policies from the whole configuration."""
    cell, arm = settings.cell, settings.arm
    base_from_bin = cell.bin.base_from_bin.pose()
    flange_from_tcp = arm.flange_from_tcp.pose()
    home = compute_base_from_tcp(np.array(arm.home_q_rad), flange_from_tcp)
    bin_from_tool_x = (base_from_bin.inverse() @ home).as_matrix()[:3, 0]
    return GraspWorkspace(
        grid=HeightmapGrid(cell.heightmap.size_px, cell.heightmap.pixel_m),
        base_from_bin=base_from_bin,
        floor_size_m=cell.bin.floor_size_m,
        wall_height_m=cell.bin.wall_height_m,
        wall_slope_rad=rad_from_deg(cell.bin.wall_slope_deg),
        fingers=ROBOTIQ_2F85,
        flange_to_tcp_m=float(flange_from_tcp.position_m[2]),
        approach_height_m=settings.motion.approach_height_m,
        preferred_yaw_rad=math.atan2(bin_from_tool_x[1], bin_from_tool_x[0]),
    )
