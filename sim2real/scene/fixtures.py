"""Table, bin, outfeed plate and camera post: everything that never moves."""

from typing import Final

import mujoco
import numpy as np

from cell.contracts.geometry import Pose
from sim2real.scene.geometry import SceneGeometry
from sim2real.scene.robot import add_camera

TABLE_CENTRE_M: Final = (0.0, 0.42)
TABLE_HALF_M: Final = (0.70, 0.62)
TABLE_HEIGHT_M: Final = 0.75
"""Table top above the hall floor; the table top is z = 0."""

FIXTURE_GEOMS: Final = (
    "table",
    "bin_floor",
    "bin_wall_px",
    "bin_wall_nx",
    "bin_wall_py",
    "bin_wall_ny",
    "outfeed_plate",
    "post",
    "post_arm",
    "overhead_camera_body",
)
"""What the arm must not hit, and what parts can rest on."""

_WALL_M: Final = 0.006
_FLOOR_M: Final = 0.02
_HIDDEN_GROUP: Final = 3
_POST_Y_M: Final = 0.96
_TABLE_RGBA: Final = (0.80, 0.81, 0.82, 1.0)
_BIN_RGBA: Final = (0.22, 0.33, 0.46, 1.0)
_PLATE_RGBA: Final = (0.16, 0.17, 0.19, 1.0)
_METAL_RGBA: Final = (0.63, 0.65, 0.68, 1.0)
# Rolling friction, so that round parts come to rest where they lie.
_MAT: Final = {"condim": 6, "friction": [0.8, 0.01, 0.002]}


def add_fixtures(spec: mujoco.MjSpec, geometry: SceneGeometry) -> None:
    """Add all fixtures and the overhead camera to the world body."""
    world = spec.worldbody
    x, y = TABLE_CENTRE_M
    _box(world, "table", (x, y, -0.02), (*TABLE_HALF_M, 0.02), _TABLE_RGBA)
    _add_bin(spec, geometry)
    _add_outfeed(world, geometry)
    _add_overhead(world, geometry)


def _add_bin(spec: mujoco.MjSpec, geometry: SceneGeometry) -> None:
    body = spec.worldbody.add_body(
        name="bin",
        pos=geometry.base_from_bin.position_m,
        quat=geometry.base_from_bin.quat_wxyz,
    )
    half = (geometry.bin_floor_size_m[0] / 2, geometry.bin_floor_size_m[1] / 2)
    # Reaches down into the table: a part that lands hard sinks in for a moment, and
    # must find the way back up nearer than the underside.
    _box(body, "bin_floor", (0.0, 0.0, -_FLOOR_M), (*half, _FLOOR_M), _BIN_RGBA)
    slope = geometry.bin_wall_slope_rad
    slant = geometry.bin_wall_height_m / np.cos(slope)
    flare = geometry.bin_wall_height_m * np.tan(slope)
    for name, axis, sign in (("px", 0, 1), ("nx", 0, -1), ("py", 1, 1), ("ny", 1, -1)):
        outward = np.zeros(3)
        outward[axis] = sign
        up = np.sin(slope) * outward + np.cos(slope) * np.array([0.0, 0.0, 1.0])
        normal = np.cos(slope) * outward - np.sin(slope) * np.array([0.0, 0.0, 1.0])
        along = np.cross(normal, up)
        frame = np.eye(4)
        frame[:3, :3] = np.column_stack([along, normal, up])
        frame[:3, 3] = half[axis] * outward + up * slant / 2 + normal * _WALL_M / 2
        pose = Pose.from_matrix(frame)
        # The body that touches runs on behind its neighbours, so that the corners are
        # closed; what is seen is cut to the mitre.
        wall = _box(
            body,
            f"bin_wall_{name}",
            tuple(pose.position_m),
            (half[1 - axis] + flare, _WALL_M / 2, slant / 2),
            _BIN_RGBA,
        )
        wall.quat = pose.quat_wxyz
        wall.group = _HIDDEN_GROUP
        _add_wall_look(
            spec, body, (half[1 - axis], half[1 - axis] + flare, slant / 2), pose
        )


def _add_wall_look(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    sides_m: tuple[float, float, float],
    bin_from_wall: Pose,
) -> None:
    bottom, top, half_slant = sides_m
    corners = [
        (x, y, z)
        for z, x_max in ((-half_slant, bottom), (half_slant, top))
        for y in (-_WALL_M / 2, _WALL_M / 2)
        for x in (-x_max, x_max)
    ]
    name = f"bin_look{len(spec.meshes)}"
    spec.add_mesh(name=name, uservert=np.array(corners).ravel().tolist())
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=name,
        pos=bin_from_wall.position_m,
        quat=bin_from_wall.quat_wxyz,
        rgba=_BIN_RGBA,
        contype=0,
        conaffinity=0,
    )


def _add_outfeed(world: mujoco.MjsBody, geometry: SceneGeometry) -> None:
    body = world.add_body(
        name="outfeed",
        pos=geometry.base_from_outfeed.position_m,
        quat=geometry.base_from_outfeed.quat_wxyz,
    )
    half = (geometry.outfeed_size_m[0] / 2, geometry.outfeed_size_m[1] / 2)
    height = float(geometry.base_from_outfeed.position_m[2])
    _box(
        body,
        "outfeed_plate",
        (0.0, 0.0, -height / 2),
        (*half, height / 2),
        _PLATE_RGBA,
    )


def _add_overhead(world: mujoco.MjsBody, geometry: SceneGeometry) -> None:
    mount = geometry.overhead
    add_camera(world, "overhead", mount.parent_from_camera, mount)
    x, y, z = (float(value) for value in mount.parent_from_camera.position_m)
    top = z + 0.045
    _box(world, "post", (x, _POST_Y_M, top / 2), (0.02, 0.02, top / 2), _METAL_RGBA)
    _box(
        world,
        "post_arm",
        (x, (y + _POST_Y_M) / 2, top),
        (0.015, (_POST_Y_M - y) / 2 + 0.02, 0.012),
        _METAL_RGBA,
    )
    _box(
        world,
        "overhead_camera_body",
        (x, y, z + 0.02),
        (0.045, 0.0125, 0.0125),
        (0.15, 0.16, 0.18, 1.0),
    )


def _box(
    body: mujoco.MjsBody,
    name: str,
    position_m: tuple[float, ...],
    half_m: tuple[float, ...],
    rgba: tuple[float, ...],
) -> mujoco.MjsGeom:
    return body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=position_m,
        size=half_m,
        rgba=rgba,
        **_MAT,
    )
