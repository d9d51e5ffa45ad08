"""A motion client before a real servo session whose arm lags as the robot does."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.robot import ArmState
from cell.contracts.servo import ServoCommand, ServoState
from cell.servo.session import ArmSession
from cell.supervisor.motion_client import MotionClient
from cell.supervisor.ports import LoadLimits
from tests.fakes.arm import FakeArm
from tests.fakes.clock import FakeClock
from tests.unit.servo.servo_rig import MS, ServoRig

LIMITS = LoadLimits(150.0, 20.0)


class LaggingArm(FakeArm):
    """Follows its setpoints as the robot does, with a lag of 0.04 s."""

    def __init__(self) -> None:
        super().__init__()
        self._q_target = self.q.copy()
        self._qd = np.zeros(6)
        self._seen_ns = 0

    def read_state(self) -> ArmState:
        """Return where the joints are now."""
        elapsed_s = (self.now_ns - self._seen_ns) / 1e9
        self._seen_ns = self.now_ns
        if 0.0 < elapsed_s < 1.0:
            step = (1.0 - np.exp(-elapsed_s / 0.04)) * (self._q_target - self.q)
            self.q, self._qd = self.q + step, step / elapsed_s
        return replace(super().read_state(), qd=self._qd)

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        """Take a new place to go to."""
        self.sent.append(q.copy())
        self._q_target = q.copy()


class RigServo:
    """A real servo session that runs on the time of a fake clock."""

    def __init__(self, clock: FakeClock, rig: ServoRig) -> None:
        self.rig = rig
        self._clock = clock
        # The supervisor is the client under test, not the rig.
        rig.vouches = False

    def write_command(self, command: ServoCommand) -> None:
        """Take an order."""
        self._catch_up()
        self.rig.port.command = command

    def read_command(self) -> ServoCommand | None:
        """Return the newest order."""
        return self.rig.port.command

    def read_state(self) -> ServoState | None:
        """Return the newest state."""
        self._catch_up()
        return self.rig.state

    def _catch_up(self) -> None:
        while self.rig.now_ns + 2 * MS <= self._clock.now_ns():
            self.rig.step()


def open_client(arm: LaggingArm) -> tuple[ServoRig, MotionClient, FakeClock]:
    """Return a client whose arm is released."""
    rig = ServoRig()
    rig.arm = arm
    rig.session = ArmSession(arm, rig.desk)
    rig.step()
    rig.release()
    rig.step()
    clock = FakeClock(rig.now_ns)
    return rig, MotionClient(RigServo(clock, rig), clock, LIMITS), clock


async def run_beside(
    client: MotionClient, clock: FakeClock, work: Coroutine[None, None, None]
) -> None:
    """Do `work` while the decision loop vouches every 20 ms."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        while not task.done():
            client.refresh()
            client.vouch()
            for _ in range(8):
                for _ in range(4):
                    await asyncio.sleep(0)
                clock.advance_s(0.0025)
