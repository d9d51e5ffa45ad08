"""A kinematic arm for desk work and tests: joints follow their target with a lag."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from cell.config import SimArmConfig
from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from cell.contracts.units import s_from_ns
from cell.kinematics import compute_base_from_tcp

_DEVICE = "arm"
# As on the robot, without setpoints its program ends; later, for desks are busy.
_WATCHDOG_S = 0.5


@contextmanager
def open_sim_arm(
    config: SimArmConfig, now_ns: Callable[[], int]
) -> Iterator[ArmDriver]:
    """Make an arm that stands at its home position."""
    arm = SimArm(config, now_ns)
    try:
        yield arm
    finally:
        arm.close()


class SimArm:
    """Implements `ArmDriver` without a robot."""

    def __init__(self, config: SimArmConfig, now_ns: Callable[[], int]) -> None:
        self._lag_s = config.tracking_lag_s
        self._flange_from_tcp = config.flange_from_tcp.pose()
        # Compiles on its first call, which must not look like silence.
        compute_base_from_tcp(np.zeros(6), self._flange_from_tcp)
        self._now_ns = now_ns
        self._q = np.array(config.home_q_rad)
        self._qd = np.zeros(6)
        self._q_target = self._q.copy()
        self._stamp_ns = now_ns()
        self._fed_ns = 0
        self._is_open = True
        self._is_playing = False

    def read_state(self) -> ArmState:
        """Return where the joints are now."""
        self._require_open()
        self._advance()
        return ArmState(
            stamp_ns=self._stamp_ns,
            robot_time_s=s_from_ns(self._stamp_ns),
            q=self._q.copy(),
            qd=self._qd.copy(),
            base_from_tcp=compute_base_from_tcp(self._q, self._flange_from_tcp),
            force_tcp_n=np.zeros(6),
            robot_mode=int(RobotMode.RUNNING),
            safety_status_bits=1 << SafetyBit.NORMAL,
            program_running=self._is_playing,
            speed_fraction=1.0,
        )

    def arm(self, flange_from_tcp: Pose, payload_kg: float) -> None:
        """Start over at the present position."""
        self._require_open()
        self._advance()
        self._check_payload(payload_kg)
        self._flange_from_tcp = flange_from_tcp
        self._q_target = self._q.copy()
        self._fed_ns = self._stamp_ns
        self._is_playing = True

    def set_payload(self, payload_kg: float) -> None:
        """Accept a mass; a kinematic arm does not feel it."""
        self._require_playing()
        self._check_payload(payload_kg)

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        """Move the target that the joints follow.

        Raises:
            DriverError: it was closed or not armed, or the setpoint is not finite.
        """
        self._advance()
        self._require_playing()
        if not np.isfinite(q).all() or period_s <= 0.0:
            raise DriverError(_DEVICE, "joint target is not finite")
        self._q_target = q.copy()
        self._fed_ns = self._stamp_ns

    def stop(self) -> None:
        """Stand still and end the program."""
        self._q_target = self._q.copy()
        self._is_playing = False

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._is_open = False

    def _advance(self) -> None:
        now_ns = self._now_ns()
        elapsed_s = s_from_ns(now_ns - self._stamp_ns)
        if elapsed_s <= 0.0:
            return
        share = 1.0 - math.exp(-elapsed_s / self._lag_s)
        step = share * (self._q_target - self._q)
        self._q = self._q + step
        self._qd = step / elapsed_s
        self._stamp_ns = now_ns
        if s_from_ns(now_ns - self._fed_ns) > _WATCHDOG_S:
            self.stop()

    def _require_open(self) -> None:
        if not self._is_open:
            raise DriverUnreachableError(_DEVICE, "the connection is gone")

    def _require_playing(self) -> None:
        self._require_open()
        if not self._is_playing:
            raise DriverError(_DEVICE, "no program runs on the robot")

    def _check_payload(self, payload_kg: float) -> None:
        if not 0.0 <= payload_kg <= 10.0:
            raise DriverError(_DEVICE, f"payload of {payload_kg} kg")
