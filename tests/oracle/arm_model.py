"""The UR5e as a MuJoCo model: bare frames, with capsules on them and zones around.

Built from the numbers that Universal Robots publishes, link by link: a hinge about z,
then a fixed offset. MuJoCo chains them with quaternions.
"""

import math
from xml.sax.saxutils import quoteattr

import mujoco
import numpy as np

from tests.oracle.plain import BOX, HALF_SPACE, Bodies, Vector

# d [m], a [m], alpha [rad]: article "DH parameters for calculations of kinematics and
# dynamics" of Universal Robots.
_LINKS = (
    (0.1625, 0.0, math.pi / 2),
    (0.0, -0.425, 0.0),
    (0.0, -0.3922, 0.0),
    (0.1333, 0.0, math.pi / 2),
    (0.0997, 0.0, -math.pi / 2),
    (0.0996, 0.0, 0.0),
)
_INERTIA = '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'


def make_arm_model(bodies: Bodies, flange_from_tcp: Vector) -> mujoco.MjModel:
    """Build the model; geoms are named `capsule_3` and `zone_0`, the tool site `tcp`.

    Half-spaces and capsules of radius 0 have no geom.
    """
    inner = ""
    for frame in range(6, 0, -1):
        d, a, alpha = _LINKS[frame - 1]
        turn = f"{math.cos(alpha / 2)!r} {math.sin(alpha / 2)!r} 0 0"
        if frame == 6:
            inner = f'<site name="tcp" pos="{_text(flange_from_tcp[:, 3])}"/>'
        inner = (
            f'<body name="turn_{frame}">{_INERTIA}<joint axis="0 0 1"/>'
            f'<body name="frame_{frame}" pos="{a!r} 0 {d!r}" quat="{turn}">'
            f"{_write_capsules(bodies, frame)}{inner}</body></body>"
        )
    return mujoco.MjModel.from_xml_string(
        '<mujoco><compiler angle="radian"/>'
        '<default><geom contype="0" conaffinity="0"/></default>'
        f"<worldbody>{_write_zones(bodies)}{_write_capsules(bodies, 0)}{inner}"
        "</worldbody></mujoco>"
    )


def _write_capsules(bodies: Bodies, frame: int) -> str:
    text = ""
    for number in np.flatnonzero(bodies.frame == frame):
        start, end = bodies.ends[number]
        radius = float(bodies.radius[number])
        if radius <= 0.0:
            continue
        name = quoteattr(f"capsule_{number}")
        if float(np.linalg.norm(end - start)) < 1e-9:
            shape = f'type="sphere" pos="{_text(start)}"'
        else:
            shape = f'type="capsule" fromto="{_text(start)} {_text(end)}"'
        text += f'<geom name={name} {shape} size="{radius!r}"/>'
    return text


def _write_zones(bodies: Bodies) -> str:
    text = ""
    for number, kind in enumerate(bodies.zone_kind):
        if kind == HALF_SPACE:
            continue
        pose = bodies.base_from_zone[number]
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, np.ascontiguousarray(pose[:, :3]).ravel())
        size = bodies.zone_size[number]
        shape = "box" if kind == BOX else "cylinder"
        text += (
            f'<geom name="zone_{number}" type="{shape}" pos="{_text(pose[:, 3])}"'
            f' quat="{_text(quat)}" size="{_text(size if kind == BOX else size[:2])}"/>'
        )
    return text


def _text(values: Vector) -> str:
    return " ".join(repr(float(value)) for value in values)
