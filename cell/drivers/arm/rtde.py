"""A UR arm over RTDE, through the vendor-neutral `ur_rtde` client.

The client reconnects by itself, uploads its program again and goes on reporting
success on a dead link, so nothing it says about its connection is believed: a sample
is fresh only when the controller's own clock advanced, and a link once doubted is
given up for a new one. Joint positions sent here are not scaled by the robot's speed
slider: whoever plans motion reads `speed_fraction` and slows down.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
from rtde_control import RTDEControlInterface
from rtde_receive import RTDEReceiveInterface

from cell.config import RtdeArmConfig
from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)
from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from cell.contracts.units import ns_from_s
from cell.drivers.arm.client_sockets import ClientSockets
from cell.drivers.arm.descriptor_limit import (
    DESCRIPTORS,
    Lease,
    find_first_free,
    list_descriptors,
)
from cell.drivers.arm.identity import require_robot
from cell.drivers.arm.polling import calm_what_starts
from cell.drivers.arm.probe import (
    RTDE_PORT,
    check_controller_version,
    read_controller_version,
)
from cell.drivers.arm.sample_stamp import SampleStamp

_DEVICE = "arm"
# Long for a living controller, short for whoever waits for a sign of life from us.
_PROBE_TIMEOUT_S = 0.25
_PROGRAM_START_S = 2.0
# A link silent for longer may block the client's calls for minutes.
_TALK_AGE_NS = ns_from_s(0.1)
_STOP_RADPS2 = 8.0
_PLAYING = 2
# Only what a cycle needs: the client decodes every package it gets.
_VARIABLES = [
    "timestamp",
    "actual_q",
    "actual_qd",
    "actual_TCP_pose",
    "actual_TCP_force",
    "robot_mode",
    "runtime_state",
    "safety_status_bits",
    "target_speed_fraction",
]
_NORMAL_BITS = 1 << SafetyBit.NORMAL | 1 << SafetyBit.REDUCED

# The client's destructors sleep for half a second while they hold the interpreter, so
# closed interfaces are kept; only after many lost links are they let go.
_MOST_KEPT = 64
_kept: list[Any] = []


class ArmInUseError(DriverError):
    """Another client controls the robot."""

    code = FaultCode.ARM_IN_USE


@contextmanager
def open_rtde_arm(
    config: RtdeArmConfig, now_ns: Callable[[], int], warn: Callable[[str], None]
) -> Iterator[ArmDriver]:
    """Connect for reading; `arm` takes control later.

    Args:
        config: section of the arm.
        now_ns: monotonic clock.
        warn: told what works less well than it could, once per connection, also while
            the arm is made ready; it must neither block nor open anything.

    Raises:
        DriverUnreachableError: nothing listens there.
        DriverTimeoutError: the controller hangs.
        ArmVersionError: its software is not supported.
        ArmIdentityError: it is another robot than the configured one.
    """
    if DESCRIPTORS.is_lowered:
        raise DriverUnreachableError(_DEVICE, "the last connection is still closing")
    version = read_controller_version(config.host, _PROBE_TIMEOUT_S)
    check_controller_version(version, config.host)
    require_robot(config.host, config.serial_number, _PROBE_TIMEOUT_S)
    arm = RtdeArm(config, now_ns, warn)
    try:
        yield arm
    finally:
        arm.close()


class RtdeArm:
    """Implements `ArmDriver`; made by `open_rtde_arm`."""

    def __init__(
        self,
        config: RtdeArmConfig,
        now_ns: Callable[[], int],
        warn: Callable[[str], None],
    ) -> None:
        """Connect for reading.

        Raises:
            DriverUnreachableError: the controller does not give its data.
        """
        self._config = config
        self._now_ns = now_ns
        self._warn = warn
        self._has_warned = False
        self._first_free = find_first_free()
        self._before = list_descriptors()
        try:
            with calm_what_starts(self._warn_once):
                self._receive: Any = RTDEReceiveInterface(
                    config.host, float(config.frequency_hz), _VARIABLES
                )
        except (RuntimeError, ValueError) as error:
            raise DriverUnreachableError(_DEVICE, str(error)) from error
        self._control: Any = None
        self._lease: Lease | None = None
        self._sockets = self._find_sockets()
        self._stamp = SampleStamp()
        self._stamp_ns = 0
        self._centre_of_mass_m = [0.0, 0.0, 0.0]

    def read_state(self) -> ArmState:
        """Return the newest sample; its stamp stands still while the robot's does.

        Raises:
            DriverUnreachableError: the connection is gone.
        """
        receive = self._require(self._receive)
        robot_time_s = receive.getTimestamp()
        self._stamp_ns = self._stamp.follow(robot_time_s, self._now_ns())
        pose = receive.getActualTCPPose()
        return ArmState(
            stamp_ns=self._stamp_ns,
            robot_time_s=robot_time_s,
            q=np.array(receive.getActualQ()),
            qd=np.array(receive.getActualQd()),
            base_from_tcp=Pose.from_rotvec(pose[:3], pose[3:]),
            force_tcp_n=np.array(receive.getActualTCPForce()),
            robot_mode=receive.getRobotMode(),
            safety_status_bits=receive.getSafetyStatusBits(),
            program_running=receive.getRuntimeState() == _PLAYING,
            speed_fraction=receive.getTargetSpeedFraction(),
        )

    def arm(self, flange_from_tcp: Pose, payload_kg: float) -> None:
        """Upload the program afresh, set tool, payload and watchdog.

        Raises:
            ArmInUseError: another client controls the robot.
            ArmIdentityError: it is another robot than the configured one.
            DriverError: the robot refused, or is in a state that needs a person.
        """
        self._require_normal()
        self._start_program()
        self._centre_of_mass_m = (0.5 * flange_from_tcp.position_m).tolist()
        tcp = [*flange_from_tcp.position_m.tolist(), *flange_from_tcp.as_rotvec()]
        self._command("setTcp", tcp)
        self.set_payload(payload_kg)
        # Last, for from here on setpoints must flow.
        self._command("setWatchdog", self._config.watchdog_hz)

    def set_payload(self, payload_kg: float) -> None:
        """Tell the robot the mass at the flange [kg]; takes a few periods.

        Raises:
            DriverError: the connection is gone or no program runs on the robot.
        """
        self._command("setPayload", payload_kg, self._centre_of_mass_m)

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        """Send one setpoint; the robot's watchdog is fed by it.

        Raises:
            DriverError: the connection is gone, no program runs on the robot, or the
                setpoint is not finite.
        """
        if not np.isfinite(q).all():
            raise DriverError(_DEVICE, "joint target is not finite")
        self._command(
            "servoJ",
            q.tolist(),
            0.0,
            0.0,
            period_s,
            self._config.lookahead_s,
            float(self._config.gain),
        )

    def stop(self) -> None:
        """Decelerate and end the program, when the link still carries a word."""
        if self._control is None or not self._can_talk():
            return
        try:
            self._command("servoStop", _STOP_RADPS2)
            self._control.stopScript()
        except (DriverError, RuntimeError):
            # The robot's own watchdog ends the program within its period.
            return

    def close(self) -> None:
        """Stop and release the connection."""
        self.stop()
        interfaces = [i for i in (self._control, self._receive) if i is not None]
        if not self._can_talk():
            # Threads of the client that wait for data would go on for seconds.
            self._sockets.shut_down()
        self._control = self._receive = None
        if interfaces:
            # The client takes half a second for each; a thread keeps that away from
            # whoever watches over the caller.
            retirement = threading.Thread(
                target=_retire, args=(interfaces, self._lease)
            )
            retirement.start()

    def _warn_once(self, text: str) -> None:
        # What was refused to the threads of one interface is to those of the other.
        if not self._has_warned:
            self._has_warned = True
            self._warn(text)

    def _find_sockets(self) -> ClientSockets:
        return ClientSockets(list_descriptors() - self._before, RTDE_PORT)

    def _require(self, interface: Any) -> Any:
        if (
            interface is None
            or not self._sockets.are_connected()
            or not interface.isConnected()
        ):
            raise DriverUnreachableError(_DEVICE, "the connection is gone")
        return interface

    def _require_normal(self) -> None:
        state = self.read_state()
        if state.robot_mode != RobotMode.RUNNING:
            raise DriverError(
                _DEVICE,
                f"robot mode is {state.robot_mode}: power it on and release its brakes",
            )
        if state.safety_status_bits & ~_NORMAL_BITS:
            raise DriverError(
                _DEVICE,
                f"safety status bits are {state.safety_status_bits:#x}: "
                "clear the stop at the robot",
            )
        if not self._can_talk():
            raise DriverError(_DEVICE, "its samples no longer advance")

    def _start_program(self) -> None:
        try:
            if self._control is None:
                self._take_control()
            else:
                self._require(self._control).reuploadScript()
        except (RuntimeError, ValueError) as error:
            if "already in use" in str(error):
                raise ArmInUseError(
                    _DEVICE,
                    f"another client controls the robot at {self._config.host}: end it "
                    "(other programs, fieldbus), then Reset",
                ) from error
            raise DriverError(_DEVICE, f"cannot take control: {error}") from error
        self._wait_for_program()

    def _take_control(self) -> None:
        # The client opens further connections here, and an address can change hands.
        # Later there is no descriptor for a question, and no new connection either.
        require_robot(self._config.host, self._config.serial_number, _PROBE_TIMEOUT_S)
        with calm_what_starts(self._warn_once):
            self._control = RTDEControlInterface(
                self._config.host, float(self._config.frequency_hz)
            )
        self._sockets = self._find_sockets()
        # Last, for looking things up needs descriptors as well.
        self._lease = DESCRIPTORS.lower(self._first_free)

    def _wait_for_program(self) -> None:
        deadline = monotonic() + _PROGRAM_START_S
        # Each interface has a picture of its own, and they age differently.
        while not (
            self._require(self._receive).getRuntimeState() == _PLAYING
            and self._require(self._control).isProgramRunning()
        ):
            if monotonic() > deadline:
                raise DriverTimeoutError(_DEVICE, _PROGRAM_START_S)
            threading.Event().wait(0.002)

    def _can_talk(self) -> bool:
        try:
            self.read_state()
        except DriverError:
            return False
        return self._now_ns() - self._stamp_ns < _TALK_AGE_NS

    def _command(self, name: str, *arguments: Any) -> None:
        if self._control is None:
            raise DriverError(_DEVICE, "no program runs on the robot")
        self._require(self._receive)
        control = self._require(self._control)
        try:
            accepted = getattr(control, name)(*arguments)
        except (RuntimeError, ValueError) as error:
            self._require(control)
            raise DriverError(_DEVICE, f"{name}: {error}") from error
        if accepted is False:
            # Its own thread may learn of a lost link later than a call that fails.
            self._require(control)
            raise DriverError(
                _DEVICE, f"{name} was refused: no program runs on the robot"
            )


def _retire(interfaces: list[Any], lease: Lease | None) -> None:
    """Disconnect, keep the objects from ever being destroyed, give the lease back.

    The lease is that of these interfaces: the next connection may hold one already.
    """
    try:
        _disconnect(interfaces)
    finally:
        if lease is not None:
            lease.release()


def _disconnect(interfaces: list[Any]) -> None:
    for interface in interfaces:
        interface.disconnect()
        if len(_kept) < _MOST_KEPT:
            _kept.append(interface)
            # One reference that nobody gives back, also when the interpreter ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(interface))
