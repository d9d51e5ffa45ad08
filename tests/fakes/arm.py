"""An arm that does exactly as told, and fails exactly when told."""

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.contracts.geometry import Pose
from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from tests.fakes.motion_oracle import HOME_Q

Vector = NDArray[np.float64]


class FakeArm:
    """Implements `ArmDriver`; joints are where the last setpoint put them.

    Attributes:
        now_ns: the stamp of the next sample; a test that leaves it stalls the link.
        frozen_ns: for how long the robot's own clock stood still in all.
        q: measured joints.
        sent: every setpoint.
        calls: everything else that was asked, in order.
        safety_status_bits: as the robot reports them.
        robot_mode: as the robot reports it.
        is_playing: whether the robot's program runs.
        is_gone: whether the connection is gone.
        is_stuck: whether the joints stay where they are, whatever is sent.
        sag_rad: distance of the first joint from its setpoint, at rest as well.
        refuses: names of calls that fail.
        force_tcp_n: what it measures at the tool.
    """

    def __init__(self) -> None:
        self.now_ns = 0
        self.frozen_ns = 0
        self.q: Vector = HOME_Q.copy()
        self.sent: list[Vector] = []
        self.calls: list[str] = []
        self.safety_status_bits = 1 << SafetyBit.NORMAL
        self.robot_mode = int(RobotMode.RUNNING)
        self.speed_fraction = 1.0
        self.is_playing = False
        self.is_gone = False
        self.is_stuck = False
        self.sag_rad = 0.0
        self.refuses: set[str] = set()
        self.force_tcp_n: Vector = np.zeros(6)

    def read_state(self) -> ArmState:
        self._answer("read_state")
        return ArmState(
            stamp_ns=self.now_ns,
            robot_time_s=(self.now_ns - self.frozen_ns) / 1e9,
            q=self.q.copy(),
            qd=np.zeros(6),
            base_from_tcp=Pose.identity(),
            force_tcp_n=self.force_tcp_n.copy(),
            robot_mode=self.robot_mode,
            safety_status_bits=self.safety_status_bits,
            program_running=self.is_playing,
            speed_fraction=self.speed_fraction,
        )

    def arm(self, flange_from_tcp: Pose, payload_kg: float) -> None:
        self._answer("arm")
        self.calls.append(f"arm {payload_kg:g}")
        self.is_playing = True

    def set_payload(self, payload_kg: float) -> None:
        self._answer("set_payload")
        self.calls.append(f"payload {payload_kg:g}")

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        self._answer("send_joint_target")
        self.sent.append(q.copy())
        if not self.is_stuck:
            self.q = q - np.array([self.sag_rad, 0.0, 0.0, 0.0, 0.0, 0.0])

    def stop(self) -> None:
        self.calls.append("stop")
        self.is_playing = False

    def close(self) -> None:
        self.calls.append("close")

    def _answer(self, name: str) -> None:
        if self.is_gone:
            raise DriverUnreachableError("arm", "the connection is gone")
        if name in self.refuses:
            raise DriverError("arm", f"{name} refused")
