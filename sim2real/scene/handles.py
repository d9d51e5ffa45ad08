"""Addresses of arm, gripper and parts in a compiled model."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.scene.parts import PartSpec
from sim2real.scene.robot import (
    ARM_ACTUATORS,
    ARM_JOINTS,
    FLANGE_SITE,
    GRIPPER_PREFIX,
    TCP_SITE,
)

Ids = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ArmHandles:
    """Addresses of arm and gripper in a compiled model.

    Attributes:
        qpos: of the six joints, in UR order.
        qvel: of the six joints.
        actuators: of the six joints.
        gripper_actuator: control 0..255.
        driver_qpos: of the right driver joint, which stands for the opening.
        driver_qvel: of the same.
        flange_site: UR flange frame.
        tcp_site: tool centre point.
        left_pads: contact bodies of the left finger.
        right_pads: contact bodies of the right finger.
        geoms: everything of arm and gripper that can touch.
        gripper_geoms: those that belong to the gripper.
    """

    qpos: Ids
    qvel: Ids
    actuators: Ids
    gripper_actuator: int
    driver_qpos: int
    driver_qvel: int
    flange_site: int
    tcp_site: int
    left_pads: Ids
    right_pads: Ids
    geoms: Ids
    gripper_geoms: Ids


@dataclass(frozen=True, eq=False)
class PartHandles:
    """Addresses of the parts, each in the order of the pool.

    Attributes:
        bodies: body ids.
        qpos: first of the 7 positions of each free joint.
        qvel: first of the 6 velocities.
        geoms: geometry ids of each part.
    """

    bodies: Ids
    qpos: Ids
    qvel: Ids
    geoms: tuple[Ids, ...]


def find_arm(model: mujoco.MjModel) -> ArmHandles:
    """Find the arm and its gripper."""
    joints = [model.joint(name) for name in ARM_JOINTS]
    driver = model.joint(f"{GRIPPER_PREFIX}right_driver_joint")
    base, mount = (
        model.body(name).id for name in ("shoulder_link", f"{GRIPPER_PREFIX}base_mount")
    )
    solid = [
        geom
        for geom in range(model.ngeom)
        if model.geom_contype[geom] and _descends(model, model.geom_bodyid[geom], base)
    ]
    return ArmHandles(
        qpos=make_ids([joint.qposadr[0] for joint in joints]),
        qvel=make_ids([joint.dofadr[0] for joint in joints]),
        actuators=make_ids([model.actuator(name).id for name in ARM_ACTUATORS]),
        gripper_actuator=model.actuator(f"{GRIPPER_PREFIX}fingers_actuator").id,
        driver_qpos=int(driver.qposadr[0]),
        driver_qvel=int(driver.dofadr[0]),
        flange_site=model.site(FLANGE_SITE).id,
        tcp_site=model.site(TCP_SITE).id,
        left_pads=_find_geoms(model, "left_pad1", "left_pad2"),
        right_pads=_find_geoms(model, "right_pad1", "right_pad2"),
        geoms=make_ids(solid),
        gripper_geoms=make_ids(
            [g for g in solid if _descends(model, model.geom_bodyid[g], mount)]
        ),
    )


def find_parts(model: mujoco.MjModel, parts: Sequence[PartSpec]) -> PartHandles:
    """Find the parts, each with a free joint."""
    bodies = [model.body(part.name) for part in parts]
    joints = [int(body.jntadr[0]) for body in bodies]
    return PartHandles(
        bodies=make_ids([body.id for body in bodies]),
        qpos=make_ids([model.jnt_qposadr[joint] for joint in joints]),
        qvel=make_ids([model.jnt_dofadr[joint] for joint in joints]),
        geoms=tuple(
            make_ids(
                range(int(body.geomadr[0]), int(body.geomadr[0] + body.geomnum[0]))
            )
            for body in bodies
        ),
    )


def _find_geoms(model: mujoco.MjModel, *names: str) -> Ids:
    return make_ids([model.geom(GRIPPER_PREFIX + name).id for name in names])


def _descends(model: mujoco.MjModel, body: int, ancestor: int) -> bool:
    while body > ancestor:
        body = int(model.body_parentid[body])
    return body == ancestor


def make_ids(values: Sequence[int] | range) -> Ids:
    """Return ids as an array that indexes."""
    return np.array(list(values), dtype=np.int32)
