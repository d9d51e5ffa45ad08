"""Fills the output image from the state of the arm, once per tick."""

from cell.contracts.robot import RobotMode
from sim2real.scene.force_noise import ForceNoise
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.control_script import ProgramRunner, RuntimeState
from sim2real.virtual_cell.ur.frames import compute_pose, rotate_back
from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.kinematics import compute_flange, compute_tcp_speed
from sim2real.virtual_cell.ur.motion import PERIOD_S
from sim2real.virtual_cell.ur.plant import PlantSample

_TORQUE_PER_AMPERE = (12.0, 12.0, 12.0, 9.0, 9.0, 9.0)  # order of UR5e's drives
_JOINT_RUNNING, _JOINT_IDLE = 253, 255


class Publication:
    """Writes outputs; values that seldom change are packed only when they do."""

    def __init__(
        self,
        image: OutputImage,
        inputs: InputBank,
        arm: Arm,
        runner: ProgramRunner,
        force_noise: ForceNoise | None = None,
    ) -> None:
        self._force_noise = force_noise
        self._image = image
        self._inputs = inputs
        self._arm = arm
        self._runner = runner
        self._status: tuple[object, ...] = ()
        image.set("joint_temperatures", *(32.0,) * 6)
        image.set("actual_joint_voltage", *(48.0,) * 6)
        image.set("actual_main_voltage", 48.0)
        image.set("actual_robot_voltage", 48.0)
        image.set("actual_tool_accelerometer", 0.0, 0.0, 9.81)

    def write(self, tick: int, work_s: float) -> None:
        """Write everything.

        Args:
            tick: number of this tick since power-up.
            work_s: duration of the tick before this one [s].
        """
        self._image.set("timestamp", tick * PERIOD_S)
        self._image.set("actual_execution_time", work_s)
        self._write_status()
        self._write_commanded()
        if self._arm.sample is not None:
            self._write_measured(self._arm.sample)

    def _write_status(self) -> None:
        arm, inputs = self._arm, self._inputs
        status = (
            arm.safety.robot_mode,
            arm.safety.status_bits,
            self._runner.state,
            arm.motion.scale,
            inputs.speed_fraction,
            inputs.digital_output_bits,
            *inputs.analog_outputs,
            arm.payload_kg,
            arm.payload_cog,
            arm.payload_inertia,
        )
        if status == self._status:
            return
        self._status = status
        image = self._image
        is_on = arm.safety.robot_mode >= RobotMode.POWER_ON
        is_playing = self._runner.state is RuntimeState.PLAYING
        is_running = arm.safety.robot_mode is RobotMode.RUNNING
        image.set("robot_mode", arm.safety.robot_mode)
        image.set("safety_mode", arm.safety.safety_mode)
        image.set("joint_mode", *(_JOINT_RUNNING if is_running else _JOINT_IDLE,) * 6)
        image.set("safety_status_bits", arm.safety.status_bits)
        image.set("robot_status_bits", int(is_on) | int(is_playing) << 1)
        image.set("runtime_state", self._runner.state)
        image.set("speed_scaling", arm.motion.scale)
        image.set("target_speed_fraction", inputs.speed_fraction)
        image.set("actual_digital_output_bits", inputs.digital_output_bits)
        image.set("standard_analog_output0", inputs.analog_outputs[0])
        image.set("standard_analog_output1", inputs.analog_outputs[1])
        image.set("payload", arm.payload_kg)
        image.set("payload_cog", *arm.payload_cog)
        image.set("payload_inertia", *arm.payload_inertia)

    def _write_commanded(self) -> None:
        image, motion = self._image, self._arm.motion
        tcp = self._arm.compute_tcp(motion.q)
        image.set("target_q", *motion.q)
        image.set("target_qd", *motion.qd)
        image.set("target_qdd", *motion.qdd)
        image.set("target_TCP_pose", *compute_pose(tcp))
        speed = compute_tcp_speed(motion.q, motion.qd, tcp.origin)
        image.set("target_TCP_speed", *speed)

    def _write_measured(self, sample: PlantSample) -> None:
        image = self._image
        tcp = self._arm.compute_tcp(sample.q)
        image.set("actual_q", *sample.q)
        image.set("actual_qd", *sample.qd)
        image.set("actual_TCP_pose", *compute_pose(tcp))
        speed = compute_tcp_speed(sample.q, sample.qd, tcp.origin)
        image.set("actual_TCP_speed", *speed)
        wrench = self._arm.compute_tcp_wrench(tcp)
        if self._force_noise is not None:
            wrench = self._force_noise.disturb(wrench)
        image.set("actual_TCP_force", *wrench)
        if any(sample.tau):
            self._write_torques(sample)
        if any(sample.flange_wrench):
            self._write_raw_wrench(sample)

    def _write_torques(self, sample: PlantSample) -> None:
        image = self._image
        currents = tuple(
            tau / k for tau, k in zip(sample.tau, _TORQUE_PER_AMPERE, strict=True)
        )
        image.set("target_moment", *sample.tau)
        image.set("target_current", *currents)
        image.set("actual_current", *currents)
        image.set("joint_control_output", *currents)
        image.set("actual_robot_current", 0.5 + 0.1 * sum(map(abs, currents)))

    def _write_raw_wrench(self, sample: PlantSample) -> None:
        axes = compute_flange(sample.q).axes
        fx, fy, fz, mx, my, mz = sample.flange_wrench
        force = rotate_back(axes, (fx, fy, fz))
        self._image.set("ft_raw_wrench", *force, *rotate_back(axes, (mx, my, mz)))
