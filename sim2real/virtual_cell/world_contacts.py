"""What touches what, once per tick: pads on a part, arm on fixtures, arm on itself."""

from dataclasses import dataclass, field
from typing import Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from sim2real.scene.build import TIMESTEP_S, Scene
from sim2real.scene.handles import ArmHandles, Ids
from sim2real.scene.robot import GRIPPER_PREFIX

_GRAVITY_MPS2: Final = 9.81
# Force signals pass a first-order filter, as a robot's own collision detection does:
# the solver's one-tick impact peaks say little about the blow.
_FILTER_S: Final = 0.010
_FILTER_SHARE: Final = TIMESTEP_S / (_FILTER_S + TIMESTEP_S)

# In this order: everything up to _FINGER belongs to the robot, everything up to
# _PALM has no business near a fixture.
_ARM, _PALM, _FINGER, _FIXTURE, _PART, _NONE = range(6)
_PALM_BODIES: Final = ("base_mount", "base")


@dataclass(frozen=True, eq=False)
class ContactReport:
    """One tick's contacts.

    Attributes:
        grasped_part: index of a part that both fingers touch, -1 for none.
        fixture_force_n: filtered sum of normal forces between arm or gripper and
            fixtures.
        fixture: name of the fixture hit hardest in this tick, or an empty string.
        body_force_n: of those, the part of arm links, wrist camera and gripper body:
            everything but the fingers.
        body: what of them hit which fixture hardest in this tick, or an empty string.
        self_force_n: the same between arm links, or arm and gripper.
        flange_wrench: force and torque of all contacts of gripper and camera about the
            flange, base axes, shape (6,) [N, N.m].
    """

    grasped_part: int
    fixture_force_n: float
    fixture: str
    body_force_n: float
    body: str
    self_force_n: float
    flange_wrench: Vector


@dataclass
class _Tally:
    """Sums of one tick."""

    wrench: Vector
    left: set[int] = field(default_factory=set)
    right: set[int] = field(default_factory=set)
    fixture_n: float = 0.0
    hardest_n: float = 0.0
    hardest: int = -1
    body_n: float = 0.0
    body_hardest_n: float = 0.0
    body_hardest: tuple[int, int] | None = None
    self_n: float = 0.0


class ContactReader:
    """Reads the contacts of a scene that has an arm."""

    def __init__(self, scene: Scene) -> None:
        if scene.arm is None:
            raise ValueError("contacts are read for a scene with an arm")
        self._scene = scene
        self._flange_site = scene.arm.flange_site
        self._kind, self._part = _classify(scene, scene.arm)
        self._is_distal = _find_distal(scene, scene.arm)
        self._left = {int(geom) for geom in scene.arm.left_pads}
        self._right = {int(geom) for geom in scene.arm.right_pads}
        self._force = np.zeros(6)
        self._fixture_n = 0.0
        self._body_n = 0.0
        self._self_n = 0.0

    def read(self) -> ContactReport:
        """Return the contacts of the state after the newest step."""
        tally = _Tally(np.zeros(6))
        pairs = self._scene.data.contact.geom
        if len(pairs):
            touches_robot = (self._kind[pairs] <= _FINGER).any(axis=1)
            for number in np.flatnonzero(touches_robot).tolist():
                self._add(tally, number, pairs[number].tolist())
        self._fixture_n += _FILTER_SHARE * (tally.fixture_n - self._fixture_n)
        self._body_n += _FILTER_SHARE * (tally.body_n - self._body_n)
        self._self_n += _FILTER_SHARE * (tally.self_n - self._self_n)
        held = tally.left & tally.right
        model = self._scene.model
        return ContactReport(
            grasped_part=min(held) if held else -1,
            fixture_force_n=self._fixture_n,
            fixture=model.geom(tally.hardest).name if tally.hardest >= 0 else "",
            body_force_n=self._body_n,
            body=self._name_hit(tally.body_hardest),
            self_force_n=self._self_n,
            flange_wrench=tally.wrench,
        )

    def _name_hit(self, pair: tuple[int, int] | None) -> str:
        """Say which link touches which fixture; most bodies that touch are unnamed."""
        if pair is None:
            return ""
        model = self._scene.model
        link = model.body(int(model.geom_bodyid[pair[0]])).name
        return f"{link} on {model.geom(pair[1]).name}"

    def _add(self, tally: _Tally, number: int, pair: list[int]) -> None:
        mujoco.mj_contactForce(self._scene.model, self._scene.data, number, self._force)
        # Of two robot bodies either may come first; otherwise the robot's goes first.
        mine, other = sorted(pair, key=self._kind.__getitem__)
        normal_n = float(self._force[0])
        if self._kind[other] <= _FINGER:
            # Finger links of one gripper touch each other in normal use.
            if self._kind[mine] == _ARM:
                tally.self_n += normal_n
            return
        self._add_wrench(tally.wrench, number, pair)
        if self._kind[other] == _FIXTURE:
            tally.fixture_n += normal_n
            if normal_n > tally.hardest_n:
                tally.hardest_n, tally.hardest = normal_n, other
            if self._kind[mine] <= _PALM:
                tally.body_n += normal_n
                if normal_n > tally.body_hardest_n:
                    tally.body_hardest_n = normal_n
                    tally.body_hardest = (mine, other)
        elif mine in self._left:
            tally.left.add(int(self._part[other]))
        elif mine in self._right:
            tally.right.add(int(self._part[other]))

    def _add_wrench(self, wrench: Vector, number: int, pair: list[int]) -> None:
        """Add the force of one contact on whatever hangs on the flange."""
        first, second = pair
        if not (self._is_distal[first] or self._is_distal[second]):
            return
        data = self._scene.data
        # The solver's force acts on the second body, along rows of the contact frame.
        sign = 1.0 if self._is_distal[second] else -1.0
        axes = data.contact.frame[number].reshape(3, 3)
        force = sign * (self._force[:3] @ axes)
        torque = sign * (self._force[3:] @ axes)
        arm = data.contact.pos[number] - data.site_xpos[self._flange_site]
        wrench[:3] += force
        wrench[3] += torque[0] + arm[1] * force[2] - arm[2] * force[1]
        wrench[4] += torque[1] + arm[2] * force[0] - arm[0] * force[2]
        wrench[5] += torque[2] + arm[0] * force[1] - arm[1] * force[0]


class FlangeSensor:
    """What hangs on the flange, as a force sensor there feels it.

    It knows nothing of the payload that the robot was told: taking that off is the
    robot's own business. The camera counts as part of the last link.
    """

    def __init__(self, scene: Scene) -> None:
        if scene.arm is None:
            raise ValueError("a flange is sensed in a scene with an arm")
        self._data = scene.data
        self._flange_site = scene.arm.flange_site
        self._tool = scene.model.body(f"{GRIPPER_PREFIX}base_mount").id
        mass_kg = float(scene.model.body_subtreemass[self._tool])
        self._weight_n = mass_kg * _GRAVITY_MPS2

    def sense(self, contact_wrench: Vector) -> Vector:
        """Return force and torque about the flange, base axes, shape (6,) [N, N.m].

        Args:
            contact_wrench: of all contacts about the flange; held parts are in it.
        """
        data, weight_n = self._data, self._weight_n
        arm = data.subtree_com[self._tool] - data.site_xpos[self._flange_site]
        sensed = contact_wrench.copy()
        sensed[2] -= weight_n
        sensed[3] -= arm[1] * weight_n
        sensed[4] += arm[0] * weight_n
        return sensed


def _classify(scene: Scene, arm: ArmHandles) -> tuple[Ids, Ids]:
    """Return each geometry's kind, and its part's index or -1."""
    kind = np.full(scene.model.ngeom, _NONE, dtype=np.int32)
    part = np.full(scene.model.ngeom, -1, dtype=np.int32)
    kind[arm.geoms] = _ARM
    kind[arm.gripper_geoms] = _FINGER
    palm = [scene.model.body(GRIPPER_PREFIX + name).id for name in _PALM_BODIES]
    is_palm = np.isin(scene.model.geom_bodyid[arm.gripper_geoms], palm)
    kind[arm.gripper_geoms[is_palm]] = _PALM
    kind[scene.fixture_geoms] = _FIXTURE
    for index, geoms in enumerate(scene.part_handles.geoms):
        kind[geoms] = _PART
        part[geoms] = index
    return kind, part


def _find_distal(scene: Scene, arm: ArmHandles) -> NDArray[np.bool_]:
    is_distal = np.zeros(scene.model.ngeom, dtype=np.bool_)
    is_distal[arm.gripper_geoms] = True
    if scene.geometry.wrist is not None:
        is_distal[scene.model.geom("wrist_camera_body").id] = True
    return is_distal
