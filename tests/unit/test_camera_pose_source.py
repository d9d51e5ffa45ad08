"""Where a camera is, fixed or carried by the arm."""

from dataclasses import replace

import numpy as np
import pytest

from cell.config import PoseConfig, SoftwareCameraConfig
from cell.contracts.geometry import Pose
from cell.contracts.servo import ServoPhase, ServoState
from ops.processes.camera import make_pose_source
from tests.fakes.servo import RESTING_SERVO

NOW_NS = 10_000_000_000
FLANGE_FROM_TCP = Pose.from_rotvec((0.0, 0.0, 0.16), (0.0, 0.0, 0.4))
MOUNT = PoseConfig(position_m=(0.0, -0.075, 0.03), rotvec_rad=(0.0, 0.1, 0.0))
FIXED = SoftwareCameraConfig(host="127.0.0.1", port=1, base_from_camera=MOUNT)
CARRIED = SoftwareCameraConfig(host="127.0.0.1", port=1, flange_from_camera=MOUNT)
STATE = replace(
    RESTING_SERVO,
    stamp_ns=NOW_NS,
    base_from_tcp=Pose.from_rotvec((0.1, 0.5, 0.3), (3.0, 0.2, 0.1)),
)


def pose_of(config: SoftwareCameraConfig, state: ServoState | None) -> Pose:
    source = make_pose_source(
        config, FLANGE_FROM_TCP, read_servo=lambda: state, now_ns=lambda: NOW_NS
    )
    return source()


def test_a_fixed_camera_stays_where_the_configuration_puts_it() -> None:
    for state in (STATE, None):
        pose = pose_of(FIXED, state)
        assert pose.as_matrix() == pytest.approx(MOUNT.pose().as_matrix())


def test_a_carried_camera_follows_the_flange() -> None:
    pose = pose_of(CARRIED, STATE)

    base_from_flange = STATE.base_from_tcp @ FLANGE_FROM_TCP.inverse()
    expected = base_from_flange @ MOUNT.pose()
    assert pose.as_matrix() == pytest.approx(expected.as_matrix(), abs=1e-9)


@pytest.mark.parametrize(
    "state",
    [
        None,
        replace(STATE, stamp_ns=NOW_NS - 300_000_000),
        replace(STATE, phase=ServoPhase.STARTING),
        replace(STATE, phase=ServoPhase.CONNECTING),
        replace(STATE, phase=ServoPhase.STOPPED),
    ],
    ids=["none", "stale", "starting", "connecting", "stopped"],
)
def test_a_carried_camera_without_a_live_arm_is_nowhere(
    state: ServoState | None,
) -> None:
    pose = pose_of(CARRIED, state)

    assert np.isnan(pose.position_m).all()
    assert np.isnan(pose.quat_wxyz).all()
