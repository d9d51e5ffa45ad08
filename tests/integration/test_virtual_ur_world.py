"""The controller in front of a world that comes late, falls silent and restarts."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dashboard_client import DashboardClient
from rtde_control import RTDEControlInterface
from rtde_receive import RTDEReceiveInterface

from cell.mailbox.seqlock import Mailbox
from sim2real.virtual_cell.links import JOINT_STATE, JOINT_TARGET
from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur, wait_until

pytestmark = pytest.mark.alone

HOME = (0.5, -1.3, 1.5, -1.8, -1.57, 0.1)


class FakeWorld:
    """A world whose joints are where the controller wants them, while it runs."""

    def __init__(self, runtime: Path) -> None:
        runtime.mkdir(exist_ok=True)
        self._state = Mailbox.open(runtime / "vc_joint_state", JOINT_STATE)
        self._target = Mailbox.open(runtime / "vc_joint_target", JOINT_TARGET)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.q = np.array(HOME)
        self.wrench = np.zeros(6)
        self.collision = False

    def start(self, q: tuple[float, ...] | None = None) -> None:
        if q is not None:
            self.q = np.array(q)
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def read_target(self) -> np.ndarray:
        record = self._target.read()
        assert record is not None
        return np.array(record["q"])

    def _run(self) -> None:
        started_ns = time.monotonic_ns()
        tick = 0
        while not self._stop.wait(0.002):
            tick += 1
            record = np.zeros((), dtype=JOINT_STATE)
            record["stamp_ns"] = time.monotonic_ns()
            record["tick"] = tick
            target = self._target.read()
            # Targets from before the start are those of a controller that is gone.
            if target is not None and target["stamp_ns"] > started_ns + 10**8:
                step = np.clip(target["q"] - self.q, -0.05, 0.05)
                record["qd"] = 0.5 * step / 0.002
                self.q = self.q + 0.5 * step
            record["q"] = self.q
            record["flange_wrench"] = self.wrench
            record["collision"] = self.collision
            self._state.write(record)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    directory = tmp_path_factory.mktemp("ur-world")
    with running_virtual_ur(directory, "--unlock-wait-s", "0.1") as running:
        yield running


@pytest.fixture
def world(robot: VirtualUr) -> Iterator[FakeWorld]:
    """A running world, with the robot in front of it free to move."""
    fake = FakeWorld(robot.runtime)
    fake.start()
    dashboard = DashboardClient(robot.host)
    dashboard.connect()

    def is_free() -> bool:
        with contextlib.suppress(RuntimeError):
            dashboard.unlockProtectiveStop()
        return "NORMAL" in dashboard.safetymode() and "RUNNING" in dashboard.robotmode()

    assert wait_until(is_free)
    yield fake
    fake.stop()
    dashboard.disconnect()


@pytest.fixture
def receive(robot: VirtualUr) -> Iterator[RTDEReceiveInterface]:
    interface = RTDEReceiveInterface(robot.host)
    yield interface
    interface.disconnect()


def test_the_robot_boots_when_the_world_appears_and_starts_from_its_pose(
    tmp_path: Path,
) -> None:
    with running_virtual_ur(tmp_path) as robot:
        world = FakeWorld(robot.runtime)
        receive = RTDEReceiveInterface(robot.host)
        assert receive.getRobotMode() == 2

        world.start()

        assert wait_until(lambda: receive.getRobotMode() == 7)
        assert receive.getTargetQ() == list(HOME)
        assert receive.getActualQ() == list(HOME)
        assert np.allclose(world.read_target(), HOME)
        world.stop()
        receive.disconnect()


def test_a_silent_world_stops_the_robot_and_its_return_is_adopted(
    robot: VirtualUr, world: FakeWorld, receive: RTDEReceiveInterface
) -> None:
    control = RTDEControlInterface(robot.host)
    start = receive.getActualQ()[0]
    goal = receive.getActualQ()
    goal[0] += 1.0
    control.moveJ(goal, 0.5, 5.0, True)
    assert wait_until(lambda: receive.getActualQ()[0] > start + 0.05)

    world.stop()

    assert wait_until(receive.isProtectiveStopped)
    elsewhere = (0.1, -1.2, 1.4, -1.7, -1.5, 0.0)
    world.start(elsewhere)
    assert wait_until(lambda: np.allclose(receive.getTargetQ(), elsewhere, atol=1e-3))
    assert receive.isProtectiveStopped()
    assert not control.isProgramRunning()
    control.disconnect()


def test_a_collision_stops_the_robot_where_it_is(
    robot: VirtualUr, world: FakeWorld, receive: RTDEReceiveInterface
) -> None:
    control = RTDEControlInterface(robot.host)
    start = receive.getActualQ()[0]
    assert control.speedJ([0.5, 0.0, 0.0, 0.0, 0.0, 0.0], 4.0, 0.0)
    assert wait_until(lambda: receive.getActualQ()[0] > start + 0.05)

    world.collision = True

    assert wait_until(receive.isProtectiveStopped)
    assert wait_until(lambda: max(map(abs, receive.getTargetQd())) == 0.0)
    control.disconnect()


def test_the_force_at_the_tool_comes_from_the_world_with_its_lever(
    world: FakeWorld, receive: RTDEReceiveInterface
) -> None:
    world.wrench = np.array([0.0, 0.0, 60.0, 0.1, 0.2, 0.3])

    # The sensor has noise of 1.2 N and a zero that wanders by some newtons.
    assert wait_until(lambda: receive.getActualTCPForce()[2] > 45.0)
    assert np.allclose(receive.getActualTCPForce()[:3], world.wrench[:3], atol=15.0)
    assert np.allclose(receive.getActualTCPForce()[3:], world.wrench[3:])
    assert abs(np.linalg.norm(receive.getFtRawWrench()[:3]) - 60.0) < 1e-9
