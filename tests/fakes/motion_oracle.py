"""A second opinion on joint motion: plain numpy, no code shared with the guard."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety.config import SafetyConfig
from safety.zones import BoxZone, HalfSpaceZone, ToolCapsule

Vector = NDArray[np.float64]

PERIOD_S = 0.002
HOME_Q = np.array([-2.2814, -1.569, 1.6197, -1.6216, -1.5708, -0.7106])
OVER_BIN_Q = np.array([-1.4353, -1.3812, 1.9867, -2.1763, -1.5708, -0.2644])
TOOL_Z_M = 0.1565

SAFETY = SafetyConfig(
    freshness_s=0.1,
    joint_min_rad=(-6.2, -3.14, -2.9, -6.2, -6.2, -6.2),
    joint_max_rad=(6.2, 0.0, 2.9, 6.2, 6.2, 6.2),
    joint_speed_radps=(3.0, 3.0, 3.0, 3.0, 3.0, 3.0),
    joint_acceleration_radps2=(25.0, 25.0, 25.0, 25.0, 25.0, 25.0),
    joint_jerk_radps3=(20_000.0,) * 6,
    tcp_speed_mps=1.5,
    tcp_force_n=150.0,
    tcp_torque_nm=20.0,
    workspace_min_m=(-0.55, 0.15, 0.012),
    workspace_max_m=(0.50, 0.80, 0.70),
    slow_distance_m=0.02,
    tool=(),
    zones=(),
)
"""Limits like those of the shipped configuration, without tool and zones, in round
numbers and with other freshness and jerk."""

_DH = (
    (0.1625, 0.0, np.pi / 2),
    (0.0, -0.425, 0.0),
    (0.0, -0.3922, 0.0),
    (0.1333, 0.0, np.pi / 2),
    (0.0997, 0.0, -np.pi / 2),
    (0.0996, 0.0, 0.0),
)


def compute_tcp(q: Sequence[float] | Vector) -> Vector:
    """Return the tool point [m] by the textbook product of matrices."""
    total = np.eye(4)
    for angle, (d, a, alpha) in zip(q, _DH, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
        total = total @ np.array(
            [
                [c, -s * ca, s * sa, a * c],
                [s, c * ca, -c * sa, a * s],
                [0.0, sa, ca, d],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
    return np.asarray((total @ np.array([0.0, 0.0, TOOL_Z_M, 1.0]))[:3])


@dataclass
class Breach:
    """One limit that one setpoint broke."""

    cycle: int
    what: str
    value: float


def find_breaches(path: Vector, limits: SafetyConfig = SAFETY) -> list[Breach]:
    """Check setpoints, shape (n, 6), that start at rest; return what they break."""
    found: list[Breach] = []
    qd = np.diff(path, axis=0) / PERIOD_S
    qdd = np.diff(np.vstack([np.zeros(6), qd]), axis=0) / PERIOD_S
    tcp = np.array([compute_tcp(q) for q in path])
    speed = np.linalg.norm(np.diff(tcp, axis=0), axis=1) / PERIOD_S

    def check(what: str, value: Vector, bound: Vector) -> None:
        excess = np.atleast_2d(np.max(value - bound, axis=-1)).ravel()
        broken = np.flatnonzero(~(excess <= 1e-6)).tolist()
        found.extend(Breach(cycle, what, float(excess[cycle])) for cycle in broken)

    check("position above", path, np.array(limits.joint_max_rad))
    check("position below", -path, -np.array(limits.joint_min_rad))
    check("speed", np.abs(qd), np.array(limits.joint_speed_radps))
    # The second difference of numbers near 6 divided by 4e-6.
    acceleration = np.array(limits.joint_acceleration_radps2) + 1e-4
    check("acceleration", np.abs(qdd), acceleration)
    check("tool speed", speed[:, None], np.array([limits.tcp_speed_mps]))
    check("workspace above", tcp, np.array(limits.workspace_max_m))
    check("workspace below", -tcp, -np.array(limits.workspace_min_m))
    return found


def compute_frames(q: Sequence[float] | Vector) -> list[Vector]:
    """Return base_from_frame 0..6, shape (4, 4) each, by the textbook product."""
    frames = [np.eye(4)]
    for angle, (d, a, alpha) in zip(q, _DH, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
        step = np.array(
            [
                [c, -s * ca, s * sa, a * c],
                [s, c * ca, -c * sa, a * s],
                [0.0, sa, ca, d],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        frames.append(frames[-1] @ step)
    return frames


def measure_samples(
    q: Sequence[float] | Vector, capsule: ToolCapsule, zone: BoxZone | HalfSpaceZone
) -> float:
    """Return the clearance of a tool capsule from a zone, by samples along it [m]."""
    ratio = np.linspace(0.0, 1.0, 41)[:, None]
    start, end = np.array(capsule.from_m), np.array(capsule.to_m)
    flange = compute_frames(q)[6]
    points = (start + ratio * (end - start)) @ flange[:3, :3].T + flange[:3, 3]
    if isinstance(zone, HalfSpaceZone):
        heights = (points - np.array(zone.point_m)) @ np.array(zone.normal)
        return float(heights.min()) - capsule.radius_m
    excess = np.abs(points - np.array(zone.centre_m)) - np.array(zone.half_m)
    outside = np.linalg.norm(np.maximum(excess, 0.0), axis=1)
    inside = np.minimum(excess.max(axis=1), 0.0)
    return float((outside + inside).min()) - capsule.radius_m
