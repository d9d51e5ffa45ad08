"""What the oracles take: limits of motion and what stands around, as plain arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Numbers = NDArray[np.int64]

BOX, CYLINDER, HALF_SPACE = 1, 2, 3


class MotionLimits(NamedTuple):
    """Limits of one stretch of motion.

    Attributes:
        period_s: time between two setpoints [s].
        joint_min_rad: shape (6,).
        joint_max_rad: shape (6,).
        joint_speed_radps: shape (6,).
        joint_acceleration_radps2: shape (6,).
        joint_jerk_radps3: of what is granted, shape (6,); infinite where there is none.
        tcp_speed_mps: of the tool point [m/s].
        workspace_min_m: lowest corner for the tool point, shape (3,).
        workspace_max_m: highest corner, shape (3,).
        flange_from_tcp: shape (3, 4).
        singular_value: least one of the tool point's Jacobian.
        tcp_force_n: at which motion ends [N].
        tcp_torque_nm: the same for the torque [N.m].
        command_age_ns: at which a command lapses.
        arm_age_ns: the same for the arm's sample.
    """

    period_s: float
    joint_min_rad: Vector
    joint_max_rad: Vector
    joint_speed_radps: Vector
    joint_acceleration_radps2: Vector
    joint_jerk_radps3: Vector
    tcp_speed_mps: float
    workspace_min_m: Vector
    workspace_max_m: Vector
    flange_from_tcp: Vector
    singular_value: float
    tcp_force_n: float
    tcp_torque_nm: float
    command_age_ns: float
    arm_age_ns: float


class Bodies(NamedTuple):
    """The arm as capsules, the zones, and which pairs have to keep apart.

    Attributes:
        frame: Denavit-Hartenberg frame of each capsule, 0..6, shape (n,).
        ends: both ends in that frame, shape (n, 2, 3) [m].
        radius: shape (n,) [m]; a capsule of radius 0 is not there.
        zone_kind: `BOX`, `CYLINDER` or `HALF_SPACE`, shape (m,).
        zone_size: half sides; or radius, half height, 0; or nothing, shape (m, 3) [m].
        base_from_zone: shape (m, 3, 4); a half-space lies below z = 0 of its frame.
        zone_margin: distance to keep, shape (m,) [m].
        against_zone: capsule and zone of each pair, shape (k, 2).
        against_self: two capsules of each pair, shape (l, 2).
    """

    frame: Numbers
    ends: Vector
    radius: Vector
    zone_kind: Numbers
    zone_size: Vector
    base_from_zone: Vector
    zone_margin: Vector
    against_zone: Numbers
    against_self: Numbers


NOTHING_AROUND = Bodies(
    frame=np.zeros(0, np.int64),
    ends=np.zeros((0, 2, 3)),
    radius=np.zeros(0),
    zone_kind=np.zeros(0, np.int64),
    zone_size=np.zeros((0, 3)),
    base_from_zone=np.zeros((0, 3, 4)),
    zone_margin=np.zeros(0),
    against_zone=np.zeros((0, 2), np.int64),
    against_self=np.zeros((0, 2), np.int64),
)
