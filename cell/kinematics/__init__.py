"""Kinematics of the UR5e: forward, differential and inverse."""

from cell.kinematics.arm import (
    compute_base_from_flange,
    compute_base_from_tcp,
    compute_frames,
    compute_jacobian,
    compute_smallest_singular_value,
    track_ik,
)
from cell.kinematics.inverse import solve_ik, solve_ik_branches

__all__ = [
    "compute_base_from_flange",
    "compute_base_from_tcp",
    "compute_frames",
    "compute_jacobian",
    "compute_smallest_singular_value",
    "solve_ik",
    "solve_ik_branches",
    "track_ik",
]
