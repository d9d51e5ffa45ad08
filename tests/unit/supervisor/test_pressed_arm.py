"""An arm that runs into something gives way: real servo session, guard and follower."""

from dataclasses import replace

import numpy as np
import pytest

from cell.contracts.robot import ArmState
from cell.supervisor.force_contacts import ForceError
from tests.unit.supervisor.lagging_arm import LaggingArm, open_client, run_beside

LIMIT_N = 150.0
_DIRECTION = np.array([0.0, 1.0, -0.7, 0.3, 0.0, 0.0])
WAY = _DIRECTION / np.linalg.norm(_DIRECTION)


class StoppedArm(LaggingArm):
    """Meets something elastic after 0.05 rad of a way.

    Setpoints that are 4.5 mrad off press with the limit, as measured in the virtual
    cell; what is in the way is `stiffness` times as stiff as the joints.
    """

    FREE_RAD = 0.05
    N_PER_RAD = LIMIT_N / 0.0045

    def __init__(self, stiffness: float, noise_n: float) -> None:
        super().__init__()
        self.force_n = self.peak_n = 0.0
        self.begin = self.q.copy()
        self._stiffness, self._noise_n = stiffness, noise_n
        self._rng = np.random.default_rng(1)

    def read_state(self) -> ArmState:
        """Return where the joints are kept, and the force that this takes."""
        target = self._q_target
        beyond_rad = float((target - self.begin) @ WAY) - self.FREE_RAD
        if beyond_rad > 0.0:
            share = self._stiffness / (1.0 + self._stiffness)
            self._q_target = target - WAY * share * beyond_rad
        state = super().read_state()
        self._q_target = target
        depth_rad = max(float((self.q - self.begin) @ WAY) - self.FREE_RAD, 0.0)
        self.force_n = self.N_PER_RAD * self._stiffness * depth_rad
        self.peak_n = max(self.peak_n, self.force_n)
        noise_n = self._noise_n * self._rng.standard_normal() * (depth_rad > 0.0)
        force = np.array([0.0, 0.0, self.force_n + noise_n, 0.0, 0.0, 0.0])
        return replace(state, force_tcp_n=force)


@pytest.mark.parametrize("noise_n", [0.0, 8.0])
@pytest.mark.parametrize(
    ("stiffness", "speed_ratio"), [(1.0, 0.4), (1.0, 0.12), (20.0, 0.12)]
)
async def test_it_does_not_press_for_longer_than_it_takes_to_give_way(
    stiffness: float, speed_ratio: float, noise_n: float
) -> None:
    arm = StoppedArm(stiffness, noise_n)
    _, client, clock = open_client(arm)
    began_ns = clock.now_ns()

    async def move() -> None:
        with pytest.raises(ForceError):
            await client.move_joint(arm.begin + 0.2 * WAY, speed_ratio=speed_ratio)

    await run_beside(client, clock, move())

    assert arm.peak_n > 2.0 * LIMIT_N
    assert arm.force_n < 0.8 * LIMIT_N
    assert (clock.now_ns() - began_ns) / 1e9 < 8.0
