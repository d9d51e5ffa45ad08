"""Compile a cell from parts and geometry, and hand out the addresses into it.

World frame and robot base frame are the same. Physics settings are set here explicitly,
because attaching the gripper drops those of its own file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import mujoco
import numpy as np

from cell.contracts.geometry import Vector
from sim2real.scene.fixtures import FIXTURE_GEOMS, add_fixtures
from sim2real.scene.geometry import SceneGeometry
from sim2real.scene.handles import ArmHandles as ArmHandles
from sim2real.scene.handles import Ids, PartHandles, find_arm, find_parts, make_ids
from sim2real.scene.parts import PartSpec, compute_primitives
from sim2real.scene.robot import make_robot_spec
from sim2real.scene.scenery import add_scenery
from sim2real.scene.shapes import PrimitiveKind

TIMESTEP_S: Final = 0.002
PARK_Z_M: Final = -20.0
PARK_PITCH_M: Final = 0.5

_GEOM_TYPES: Final = {
    PrimitiveKind.BOX: mujoco.mjtGeom.mjGEOM_BOX,
    PrimitiveKind.CYLINDER: mujoco.mjtGeom.mjGEOM_CYLINDER,
    PrimitiveKind.CAPSULE: mujoco.mjtGeom.mjGEOM_CAPSULE,
    PrimitiveKind.HULL: mujoco.mjtGeom.mjGEOM_MESH,
}


@dataclass(frozen=True, eq=False)
class Scene:
    """A compiled cell and its state.

    Attributes:
        model: compiled model.
        data: state; parts start parked.
        geometry: what it was built from.
        parts: the pool, in the order of `part_handles`.
        arm: addresses, None when built without an arm.
        part_handles: addresses of the parts.
        fixture_geoms: table, bin, plate, post.
        cameras: ids by name (`overhead`, and `wrist` with an arm).
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    geometry: SceneGeometry
    parts: tuple[PartSpec, ...]
    arm: ArmHandles | None
    part_handles: PartHandles
    fixture_geoms: Ids
    cameras: dict[str, int]


def build_scene(
    parts: Sequence[PartSpec],
    geometry: SceneGeometry,
    *,
    with_arm: bool = True,
    visual: Literal["collision", "full"] = "collision",
) -> Scene:
    """Compile a cell; the arm stands at home and the parts are parked out of sight.

    Args:
        parts: the pool; names must differ.
        geometry: fixtures, cameras, tool.
        with_arm: leave the arm and the wrist camera out when False.
        visual: `full` has the detailed meshes for pictures, `collision` renders fast.
    """
    if with_arm:
        spec = make_robot_spec(geometry, full_visuals=visual == "full")
    else:
        spec = mujoco.MjSpec()
    _set_physics(spec)
    add_fixtures(spec, geometry)
    if visual == "full":
        add_scenery(spec, geometry)
    for index, part in enumerate(parts):
        _add_part(spec, part, index)
    model = spec.compile()
    scene = Scene(
        model=model,
        data=mujoco.MjData(model),
        geometry=geometry,
        parts=tuple(parts),
        arm=find_arm(model) if with_arm else None,
        part_handles=find_parts(model, parts),
        fixture_geoms=make_ids([model.geom(name).id for name in FIXTURE_GEOMS]),
        cameras={model.camera(i).name: i for i in range(model.ncam)},
    )
    reset_scene(scene)
    return scene


def reset_scene(scene: Scene) -> None:
    """Put the arm at home with open fingers, at rest, and park every part."""
    mujoco.mj_resetData(scene.model, scene.data)
    for index in range(len(scene.parts)):
        park_part(scene, index)
    if scene.arm is not None:
        scene.data.qpos[scene.arm.qpos] = scene.geometry.home_q_rad
        scene.data.ctrl[scene.arm.actuators] = scene.geometry.home_q_rad
    mujoco.mj_forward(scene.model, scene.data)


def use_dense_solver(scene: Scene) -> None:
    """Have contact forces found with full matrices.

    From 60 degrees of freedom on MuJoCo takes sparse ones by itself, and with those
    Newton's method of version 4.0.0 gives up on some parts wedged between the fingers.
    What it has by then is no motion: a part turning at 750 rad/s, a wrist 3.7 rad/s
    faster within a tick. With full matrices it needs 2 to 12 iterations in the same
    places, finds what conjugate gradients find, and takes as long for a whole cell.
    """
    scene.model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE


def is_solved(scene: Scene) -> bool:
    """Say whether the newest step found its contact forces before it gave up.

    MuJoCo counts the iterations of 20 islands of bodies that touch; in bins no more
    than 10 were seen.
    """
    return bool(scene.data.solver_niter.max() < scene.model.opt.iterations)


def park_part(scene: Scene, index: int) -> None:
    """Take a part out of the cell: far below, weightless, touching nothing."""
    model, handles = scene.model, scene.part_handles
    place = (index * PARK_PITCH_M, 0.0, PARK_Z_M)
    _write_part_pose(scene, index, place, (1.0, 0.0, 0.0, 0.0))
    model.body_gravcomp[handles.bodies[index]] = 1.0
    model.geom_contype[handles.geoms[index]] = 0
    model.geom_conaffinity[handles.geoms[index]] = 0


def place_part(
    scene: Scene,
    index: int,
    position_m: Sequence[float],
    quat_wxyz: Sequence[float],
) -> None:
    """Bring a part into the cell at a pose in the base frame, about to fall."""
    model, handles = scene.model, scene.part_handles
    _write_part_pose(scene, index, position_m, quat_wxyz)
    # A speed wakes a sleeping part; a new pose alone does not.
    scene.data.qvel[handles.qvel[index] + 2] = -0.01
    model.body_gravcomp[handles.bodies[index]] = 0.0
    model.geom_contype[handles.geoms[index]] = 1
    model.geom_conaffinity[handles.geoms[index]] = 1


def read_part_positions(scene: Scene) -> Vector:
    """Return where all parts are in base, shape (parts, 3) [m]; valid after a move."""
    columns = scene.part_handles.qpos[:, None] + np.arange(3)
    return np.asarray(scene.data.qpos[columns])


def is_parked(scene: Scene, index: int) -> bool:
    """Return whether a part is out of the cell."""
    return bool(scene.model.body_gravcomp[scene.part_handles.bodies[index]] == 1.0)


def recolour_part(scene: Scene, index: int, rgba: Sequence[float]) -> None:
    """Paint a part."""
    scene.model.geom_rgba[scene.part_handles.geoms[index]] = rgba


def _write_part_pose(
    scene: Scene, index: int, position_m: Sequence[float], quat: Sequence[float]
) -> None:
    start = scene.part_handles.qpos[index]
    scene.data.qpos[start : start + 3] = position_m
    scene.data.qpos[start + 3 : start + 7] = quat
    speed = scene.part_handles.qvel[index]
    scene.data.qvel[speed : speed + 6] = 0.0


def _set_physics(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = TIMESTEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    # Resting parts cost nothing until something touches them (a fifth of the time).
    spec.option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    spec.visual.quality.shadowsize = 0
    spec.visual.quality.offsamples = 0
    spec.visual.map.znear = 0.01
    spec.visual.map.zfar = 30.0
    spec.stat.extent = 1.0
    spec.stat.center = [0.0, 0.45, 0.2]
    spec.worldbody.add_light(
        name="ceiling",
        pos=[0.3, 0.1, 2.2],
        dir=[-0.15, 0.15, -1.0],
        diffuse=[0.40, 0.40, 0.40],
        ambient=[0.12, 0.12, 0.12],
        specular=[0.10, 0.10, 0.10],
    )
    spec.visual.headlight.ambient = [0.22, 0.22, 0.22]
    spec.visual.headlight.diffuse = [0.30, 0.30, 0.30]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]


def _add_part(spec: mujoco.MjSpec, part: PartSpec, index: int) -> None:
    body = spec.worldbody.add_body(
        name=part.name, pos=[index * PARK_PITCH_M, 0.0, PARK_Z_M]
    )
    body.add_freejoint()
    pieces = compute_primitives(part)
    for number, piece in enumerate(pieces):
        mesh_name = ""
        if piece.kind is PrimitiveKind.HULL:
            mesh_name = f"{part.name}_mesh{number}"
            spec.add_mesh(
                name=mesh_name, uservert=np.array(piece.points_m).ravel().tolist()
            )
        body.add_geom(
            name=f"{part.name}_{number}",
            type=_GEOM_TYPES[piece.kind],
            meshname=mesh_name,
            pos=piece.position_m,
            quat=piece.quat_wxyz,
            size=(*piece.size_m, 0.0, 0.0, 0.0)[:3],
            mass=part.mass_kg / len(pieces),
            rgba=part.rgba,
            condim=4,
            friction=[0.6, 0.005, 0.0001],
        )
