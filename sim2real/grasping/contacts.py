"""Notices when arm or gripper press on something harder than a robot would allow."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.scene.build import ArmHandles, Scene

FIXTURE_FORCE_MAX_N = 60.0
PART_FORCE_MAX_N = 120.0
"""Pressing a part down; a UR5e stops by itself at about this force."""


class ContactWatch:
    """Looks at the contacts of one moving arm."""

    def __init__(self, scene: Scene, arm: ArmHandles) -> None:
        self._model, self._data = scene.model, scene.data
        self._is_robot = np.zeros(scene.model.ngeom, bool)
        self._is_robot[arm.geoms] = True
        self._is_fixture = np.zeros(scene.model.ngeom, bool)
        self._is_fixture[scene.fixture_geoms] = True
        self._is_pad = np.zeros(scene.model.ngeom, bool)
        self._is_pad[arm.left_pads] = True
        self._is_pad[arm.right_pads] = True
        self._force = np.zeros(6)
        self.has_collided = False
        self.has_touched_part = False

    def look(self) -> None:
        """Check the contacts of the newest step."""
        pairs: NDArray[np.int32] = self._data.contact.geom
        if not len(pairs):
            return
        robot = self._is_robot[pairs]
        foreign = np.flatnonzero(robot[:, 0] != robot[:, 1])
        for index in foreign:
            side = 1 if robot[index, 0] else 0
            other, own = int(pairs[index, side]), int(pairs[index, 1 - side])
            is_fixture = bool(self._is_fixture[other])
            if not is_fixture:
                self.has_touched_part = True
            limit_n = FIXTURE_FORCE_MAX_N if is_fixture else PART_FORCE_MAX_N
            # Pads squeeze a part between them; that force is the grip, not a hit.
            is_grip = self._is_pad[own] and not is_fixture
            if is_grip and not self._is_end_on(int(index)):
                continue
            mujoco.mj_contactForce(self._model, self._data, int(index), self._force)
            if self._force[0] > limit_n:
                self.has_collided = True

    def _is_end_on(self, index: int) -> bool:
        """Return whether a contact is steep: the finger stands on something."""
        return abs(float(self._data.contact.frame[index][2])) > 0.7
