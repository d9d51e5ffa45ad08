"""Shared-memory records between the processes of the virtual cell.

The real cell has physics where these records are: the robot controller moves joints,
the line PLC watches light barriers. Nothing of the product reads them.
"""

import numpy as np

MAX_PARTS = 24
"""Slots for parts in the world; unused ones are parked below the floor."""

JOINT_TARGET = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("q", "<f8", (6,)),
        ("qd", "<f8", (6,)),
        ("gripper_position", "<f8"),  # 0 open .. 1 closed, target of the fingers
        ("gripper_speed", "<f8"),  # 0..1
        ("gripper_force", "<f8"),  # 0..1
        ("brakes_released", "<i8"),
    ]
)
"""UR controller -> world, mailbox `vc_joint_target`, every 2 ms."""

JOINT_STATE = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("tick", "<i8"),
        ("q", "<f8", (6,)),
        ("qd", "<f8", (6,)),
        ("tau", "<f8", (6,)),
        ("flange_wrench", "<f8", (6,)),  # tool and part, base axes, N and N.m
        ("gripper_position", "<f8"),  # 0 open .. 1 closed, measured
        ("gripper_velocity", "<f8"),  # 1/s of the same
        ("gripper_contact", "<i8"),  # both pads touch the same part
        ("collision", "<i8"),  # a fixture was hit harder than the robot allows
    ]
)
"""World -> UR controller, mailbox `vc_joint_state`, every 2 ms."""

WORLD_STATE = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("tick", "<i8"),
        ("sim_time_s", "<f8"),
        ("qpos", "<f8", (256,)),  # first nq entries count
        ("part_rgba", "<f4", (MAX_PARTS, 4)),
        ("part_zone", "<i8", (MAX_PARTS,)),  # see PartZone
        ("parts_in_bin", "<i8"),
        ("parts_on_outfeed", "<i8"),
        ("parts_lost", "<i8"),
        ("refills", "<i8"),
        ("real_time_factor", "<f8"),
        ("limit_violations", "<i8"),
        ("violation_kind", "S64"),
    ]
)
"""World -> camera, PLC, report; mailbox `vc_world_state`, every tick."""

LINE_COMMAND = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("refill_id", "<i8"),  # a new number asks for a refill of the bin
        ("refill_count", "<i8"),  # parts the bin shall hold afterwards
        ("take_id", "<i8"),  # a new number takes the parts off the outfeed
    ]
)
"""Line PLC -> world, mailbox `vc_line_command`."""


class PartZone:
    """Where a part is."""

    PARKED = 0
    BIN = 1
    GRIPPER = 2
    OUTFEED = 3
    ELSEWHERE = 4
