"""The driver says once for each connection what its client costs."""

import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from cell.config import PoseConfig, RtdeArmConfig
from cell.drivers.arm.opening import open_arm
from tests.fakes.virtual_ur import running_virtual_ur, wait_until

pytestmark = pytest.mark.alone

TOOL = PoseConfig(position_m=(0.0, 0.0, 0.1565), rotvec_rad=(0.0, 0.0, 0.0))


def test_a_driver_whose_threads_are_refused_warns_once_for_each_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[frozenset[int]] = []
    told: list[str] = []

    def refuse(threads: Iterable[int]) -> str:
        asked.append(frozenset(threads))
        return "refused"

    monkeypatch.setattr("cell.drivers.arm.polling.calm_threads", refuse)
    with running_virtual_ur(tmp_path, "--plant", "ideal") as robot:
        config = RtdeArmConfig(
            host=robot.host,
            watchdog_hz=1.0,
            flange_from_tcp=TOOL,
            gripper_mass_kg=0.95,
            home_q_rad=(-2.2814, -1.569, 1.6197, -1.6216, -1.5708, -0.7106),
        )
        with open_arm(config, time.monotonic_ns, told.append):
            told.append("connected")
        with open_arm(config, time.monotonic_ns, told.append) as arm:
            assert wait_until(lambda: arm.read_state().robot_mode > 0)
            arm.arm(TOOL.pose(), 1.0)

    assert told == ["refused", "connected", "refused"]
    # For what reads, twice, and for what controls.
    assert len(asked) == 3
    assert all(asked)
