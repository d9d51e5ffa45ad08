"""What only pictures need: hall floor, table legs, conveyor, light; never touched."""

from typing import Final

import mujoco
import numpy as np

from sim2real.scene.fixtures import TABLE_CENTRE_M, TABLE_HALF_M, TABLE_HEIGHT_M
from sim2real.scene.geometry import SceneGeometry

_STEEL: Final = (0.55, 0.57, 0.60, 1.0)
_DARK: Final = (0.13, 0.14, 0.16, 1.0)
_BELT: Final = (0.10, 0.11, 0.12, 1.0)
_BELT_LENGTH_M: Final = 0.42


def add_scenery(spec: mujoco.MjSpec, geometry: SceneGeometry) -> None:
    """Add everything that is looked at and never touched."""
    _add_surfaces(spec)
    _add_hall(spec)
    _add_table(spec.worldbody)
    _add_conveyor(spec.worldbody, geometry)
    _set_lights(spec)


def _add_surfaces(spec: mujoco.MjSpec) -> None:
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.90, 0.92, 0.95],
        rgb2=[0.60, 0.65, 0.71],
        width=256,
        height=1536,
    )
    spec.add_material(
        name="tabletop",
        rgba=[0.74, 0.75, 0.77, 1.0],
        specular=0.2,
        shininess=0.3,
    )
    spec.geom("table").material = "tabletop"
    spec.geom("table").rgba = [0.74, 0.75, 0.77, 1.0]


def _add_hall(spec: mujoco.MjSpec) -> None:
    spec.add_texture(
        name="hall",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        mark=mujoco.mjtMark.mjMARK_EDGE,
        rgb1=[0.78, 0.80, 0.82],
        rgb2=[0.78, 0.80, 0.82],
        markrgb=[0.70, 0.72, 0.74],
        width=512,
        height=512,
    )
    hall = spec.add_material(name="hall", texrepeat=[1, 1], texuniform=True)
    hall.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "hall"
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[0.0, 0.0, -TABLE_HEIGHT_M],
        size=[0.0, 0.0, 0.1],
        material="hall",
        contype=0,
        conaffinity=0,
    )


def _add_table(world: mujoco.MjsBody) -> None:
    x, y = TABLE_CENTRE_M
    half_x, half_y = TABLE_HALF_M
    leg = TABLE_HEIGHT_M / 2 - 0.02
    for sign_x in (-1, 1):
        for sign_y in (-1, 1):
            centre = (
                x + sign_x * (half_x - 0.06),
                y + sign_y * (half_y - 0.06),
                -leg - 0.04,
            )
            _box(world, centre, (0.03, 0.03, leg), _STEEL)
    for sign in (-1, 1):
        _box(
            world,
            (x, y + sign * (half_y - 0.06), -0.09),
            (half_x - 0.06, 0.02, 0.03),
            _STEEL,
        )
        _box(
            world,
            (x + sign * (half_x - 0.06), y, -0.09),
            (0.02, half_y - 0.06, 0.03),
            _STEEL,
        )
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        pos=[0.0, 0.0, 0.003],
        size=[0.105, 0.003, 0.0],
        rgba=_DARK,
        contype=0,
        conaffinity=0,
    )


def _add_conveyor(world: mujoco.MjsBody, geometry: SceneGeometry) -> None:
    """Let the outfeed plate run on into a belt with rails."""
    x, y, height = (float(v) for v in geometry.base_from_outfeed.position_m)
    half_x, half_y = (side / 2 for side in geometry.outfeed_size_m)
    start = x + half_x
    middle = start + _BELT_LENGTH_M / 2
    _box(
        world,
        (middle, y, height - 0.016),
        (_BELT_LENGTH_M / 2, half_y - 0.006, 0.014),
        _BELT,
    )
    for sign in (-1, 1):
        _box(
            world,
            (middle, y + sign * (half_y + 0.004), height - 0.016),
            (_BELT_LENGTH_M / 2, 0.006, 0.026),
            _STEEL,
        )
        for along in (0.12, 0.88):
            foot = (
                start + along * _BELT_LENGTH_M,
                y + sign * half_y,
                height / 2 - 0.02,
            )
            _box(world, foot, (0.012, 0.012, height / 2 - 0.02), _STEEL)


def _set_lights(spec: mujoco.MjSpec) -> None:
    for light in list(spec.lights):
        spec.delete(light)
    spec.visual.headlight.ambient = [0.27, 0.27, 0.28]
    spec.visual.headlight.diffuse = [0.12, 0.12, 0.12]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]
    key, target = (1.3, 0.9, 2.7), (-0.05, 0.45, 0.0)
    spec.worldbody.add_light(
        name="key",
        pos=key,
        dir=_towards(key, target),
        type=mujoco.mjtLightType.mjLIGHT_SPOT,
        cutoff=70.0,
        exponent=1.0,
        diffuse=[0.66, 0.645, 0.62],
        specular=[0.22, 0.22, 0.22],
        castshadow=True,
    )
    fill = (-1.2, -1.0, 1.8)
    spec.worldbody.add_light(
        name="fill",
        pos=fill,
        dir=_towards(fill, target),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.16, 0.18, 0.21],
        specular=[0.05, 0.05, 0.05],
        castshadow=False,
    )


def _towards(
    start: tuple[float, float, float], end: tuple[float, float, float]
) -> list[float]:
    direction = np.array(end) - np.array(start)
    unit: list[float] = (direction / np.linalg.norm(direction)).tolist()
    return unit


def _box(
    world: mujoco.MjsBody,
    position_m: tuple[float, float, float],
    half_m: tuple[float, float, float],
    rgba: tuple[float, float, float, float],
) -> None:
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=position_m,
        size=half_m,
        rgba=rgba,
        contype=0,
        conaffinity=0,
    )
