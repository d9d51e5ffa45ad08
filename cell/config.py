"""Sections of `config.yaml` that describe the devices, the cell and its timing.

Ranges are what the devices take or what makes sense at all; the limits of motion
that the guard holds belong to `safety.config`.
"""

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cell.contracts.geometry import Pose
from cell.contracts.model import Section
from cell.contracts.robot import PAYLOAD_MAX_KG

_HOSTNAME = re.compile(
    r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.I
)


def _check_host(host: str) -> str:
    """Accept an IPv4 address or a host name.

    Raises:
        ValueError: it is neither.
    """
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("is not an IPv4 address such as 192.168.1.10") from None
    elif len(host) > 253 or not _HOSTNAME.fullmatch(host):
        raise ValueError("is neither an IPv4 address nor a host name")
    return host


def _check_directory(directory: str) -> str:
    """Accept an empty string or an absolute path.

    Raises:
        ValueError: it is a relative path, or holds a character no path may hold.
    """
    if "\0" in directory or (directory and not directory.startswith("/")):
        raise ValueError("must be empty or an absolute path")
    return directory


Host = Annotated[str, AfterValidator(_check_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
CameraName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,15}$")]
Coordinate = Annotated[float, Field(ge=-5.0, le=5.0)]
Angle = Annotated[float, Field(ge=-6.3, le=6.3)]
Vector3 = tuple[Coordinate, Coordinate, Coordinate]
JointVector = tuple[Angle, Angle, Angle, Angle, Angle, Angle]


class PoseConfig(Section):
    """A rigid transform in UR's form: position [m] and rotation vector [rad]."""

    position_m: Vector3
    rotvec_rad: tuple[Angle, Angle, Angle]

    def pose(self) -> Pose:
        """Return the transform."""
        return Pose.from_rotvec(self.position_m, self.rotvec_rad)


class RuntimeConfig(Section):
    """Where the processes meet, and how much they say."""

    directory: Annotated[str, AfterValidator(_check_directory)] = ""
    state_directory: Annotated[str, AfterValidator(_check_directory)] = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    restart_limit: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Restarts of one process within ten minutes before it stays down. More than 5 are
    for trials in a virtual cell; the whole configuration sees to that."""


class _ArmSection(Section):
    """What every arm has: a tool, its mass and a place to wait."""

    flange_from_tcp: PoseConfig
    gripper_mass_kg: Annotated[float, Field(ge=0.0, le=PAYLOAD_MAX_KG)]
    home_q_rad: JointVector


class RtdeArmConfig(_ArmSection):
    """Arm reached over RTDE.

    `servoj` takes lookaheads of 0.03 to 0.2 s and gains of 100 to 2000; of those only
    the quick ones follow a quick stop in time (decision 7).
    """

    kind: Literal["rtde"] = "rtde"
    host: Host
    serial_number: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{0,32}$")] = ""
    """Of the robot that was calibrated; another is refused. Empty: not compared."""
    frequency_hz: Annotated[int, Field(ge=50, le=500)] = 500
    """Stop times and all other figures of this project hold for 500."""
    lookahead_s: Annotated[float, Field(ge=0.03, le=0.05)] = 0.03
    gain: Annotated[int, Field(ge=1000, le=2000)] = 2000
    watchdog_hz: Annotated[float, Field(ge=1.0, le=100.0)] = 10.0

    @model_validator(mode="after")
    def _watchdog_is_slower_than_the_loop(self) -> Self:
        if self.watchdog_hz * 2 > self.frequency_hz:
            raise ValueError("watchdog_hz must be at most half of frequency_hz")
        return self


class SimArmConfig(_ArmSection):
    """Kinematic arm for desk work and tests."""

    kind: Literal["sim"] = "sim"
    frequency_hz: Annotated[int, Field(ge=50, le=500)] = 500
    tracking_lag_s: Annotated[float, Field(gt=0.0, le=0.5)] = 0.02


ArmConfig = Annotated[RtdeArmConfig | SimArmConfig, Field(discriminator="kind")]


class _GripperSection(Section):
    """What every parallel gripper has."""

    max_aperture_m: Annotated[float, Field(gt=0.0, le=0.2)] = 0.085
    force_ratio: Ratio = 0.8


class RobotiqUrcapConfig(_GripperSection):
    """Robotiq gripper behind the socket of its URCap."""

    kind: Literal["robotiq_urcap"] = "robotiq_urcap"
    host: Host
    port: Port = 63352


class SimGripperConfig(_GripperSection):
    """Simulated gripper without physics."""

    kind: Literal["sim"] = "sim"
    closing_speed_mps: Annotated[float, Field(gt=0.0, le=1.0)] = 0.15


GripperConfig = Annotated[
    RobotiqUrcapConfig | SimGripperConfig, Field(discriminator="kind")
]


class _CameraSection(Section):
    """Where a camera sits: fixed in the cell, or carried by the flange."""

    rate_hz: Annotated[float, Field(ge=1.0, le=90.0)] = 15.0
    base_from_camera: PoseConfig | None = None
    flange_from_camera: PoseConfig | None = None

    @model_validator(mode="after")
    def _sits_in_one_place(self) -> Self:
        if (self.base_from_camera is None) == (self.flange_from_camera is None):
            raise ValueError(
                "needs exactly one of base_from_camera (fixed) and"
                " flange_from_camera (on the robot)"
            )
        return self


class SoftwareCameraConfig(_CameraSection):
    """Frames that arrive over TCP and go through the camera SDK's software device."""

    kind: Literal["software"] = "software"
    host: Host
    port: Port
    serial: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{0,32}$")] = ""
    """Of the very camera behind the feed; another is refused. Empty: not compared."""


class RealsenseCameraConfig(_CameraSection):
    """RealSense camera on USB, found by its serial number."""

    kind: Literal["realsense"] = "realsense"
    serial: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,32}$")]
    width_px: Annotated[int, Field(ge=64, le=1920)] = 640
    height_px: Annotated[int, Field(ge=64, le=1080)] = 480


class ReplayCameraConfig(_CameraSection):
    """Recorded frames from a folder, with their true timing."""

    kind: Literal["replay"] = "replay"
    directory: Annotated[str, Field(min_length=1)]
    loop: bool = True


CameraConfig = Annotated[
    SoftwareCameraConfig | RealsenseCameraConfig | ReplayCameraConfig,
    Field(discriminator="kind"),
]


class _PlcSection(Section):
    """Timing of the exchange with the line."""

    period_s: Annotated[float, Field(ge=0.01, le=0.5)] = 0.05
    timeout_s: Annotated[float, Field(ge=0.01, le=1.0)] = 0.1
    # A lost line is answered with a stop within 0.3 s. Silence counts as a loss after
    # this time less 2 x supervisor.command_period_s (`make_line_timing`); the decision
    # loop may look one turn late and acts in the next, which adds the same again. So
    # the sum is this value itself. The whole configuration checks the other sum, that
    # of a heartbeat that stands while answers go on.
    heartbeat_timeout_s: Annotated[float, Field(ge=0.05, le=0.3)] = 0.3

    @model_validator(mode="after")
    def _heartbeat_outlives_its_period(self) -> Self:
        # A relative margin, for 3 * 0.1 is not 0.3 in binary.
        if self.heartbeat_timeout_s < 3 * self.period_s * (1 - 1e-9):
            raise ValueError("heartbeat_timeout_s must cover at least 3 x period_s")
        if self.timeout_s >= self.heartbeat_timeout_s:
            raise ValueError("timeout_s must be smaller than heartbeat_timeout_s")
        return self


class ModbusPlcConfig(_PlcSection):
    """Line PLC reached as a Modbus TCP server."""

    kind: Literal["modbus"] = "modbus"
    host: Host
    port: Port
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    word_order: Literal["big", "little"] = "big"


class SimPlcConfig(_PlcSection):
    """Line PLC in memory that follows the same handshake."""

    kind: Literal["sim"] = "sim"


PlcConfig = Annotated[ModbusPlcConfig | SimPlcConfig, Field(discriminator="kind")]

_Length = Annotated[float, Field(gt=0.0, le=3.0)]


class BinConfig(Section):
    """The source bin: a rectangular floor with walls that lean outward."""

    base_from_bin: PoseConfig
    floor_size_m: tuple[_Length, _Length]
    wall_height_m: Annotated[float, Field(gt=0.0, le=0.5)]
    wall_slope_deg: Annotated[float, Field(ge=0.0, le=60.0)]


class OutfeedConfig(Section):
    """The plate that parts are placed on."""

    base_from_outfeed: PoseConfig
    size_m: tuple[_Length, _Length]


class HeightmapConfig(Section):
    """Grid of the height map that policies see, centred on the bin."""

    size_px: Annotated[int, Field(ge=16, le=512, multiple_of=8)] = 96
    pixel_m: Annotated[float, Field(ge=0.0005, le=0.02)] = 0.004


class PartBandConfig(Section):
    """What a single part of this cell may measure between the fingers and on the arm.

    The widths are those of every way to grip it. The masses hold for what the robot's
    force sensor measures: leave room for its noise (half a kilogram on a UR5e), and
    leave `mass_min_kg` at 0 where a part is lighter than that.
    """

    width_min_m: Annotated[float, Field(ge=0.0, le=0.2)]
    width_max_m: Annotated[float, Field(gt=0.0, le=0.2)]
    mass_min_kg: Annotated[float, Field(ge=0.0, le=PAYLOAD_MAX_KG)]
    mass_max_kg: Annotated[float, Field(gt=0.0, le=PAYLOAD_MAX_KG)]

    @model_validator(mode="after")
    def _bands_are_not_empty(self) -> Self:
        for name, unit in (("width", "m"), ("mass", "kg")):
            low, high = (getattr(self, f"{name}_{end}_{unit}") for end in _ENDS)
            if low >= high:
                raise ValueError(
                    f"{name}_min_{unit} is {low}, it must be less than "
                    f"{name}_max_{unit}, which is {high}"
                )
        return self


_ENDS = ("min", "max")


class CellGeometryConfig(Section):
    """What stands where, and what is picked."""

    bin: BinConfig
    outfeed: OutfeedConfig
    heightmap: HeightmapConfig = HeightmapConfig()
    part: PartBandConfig | None = None
    """None: neither width nor mass of what was lifted is compared."""

    @model_validator(mode="after")
    def _heightmap_covers_the_floor(self) -> Self:
        side_m = self.heightmap.size_px * self.heightmap.pixel_m
        if side_m < max(self.bin.floor_size_m):
            raise ValueError(
                f"heightmap covers {side_m:.3f} m, less than the bin's floor:"
                " raise size_px or pixel_m"
            )
        return self


class MotionConfig(Section):
    """How the arm moves when nothing is wrong; the guard's limits lie above."""

    joint_speed_radps: Annotated[float, Field(gt=0.0, le=3.14)] = 2.0
    joint_acceleration_radps2: Annotated[float, Field(gt=0.0, le=100.0)] = 9.0
    joint_jerk_radps3: Annotated[float, Field(gt=0.0, le=5000.0)] = 90.0
    linear_speed_mps: Annotated[float, Field(gt=0.0, le=5.0)] = 0.5
    linear_acceleration_mps2: Annotated[float, Field(gt=0.0, le=20.0)] = 2.5
    linear_jerk_mps3: Annotated[float, Field(gt=0.0, le=1000.0)] = 25.0
    approach_height_m: Annotated[float, Field(gt=0.0, le=0.5)] = 0.10
    retreat_height_m: Annotated[float, Field(gt=0.0, le=0.5)] = 0.14
    """Both from the grasp up; the whole configuration compares them with the bin."""
    blend_rad: Annotated[float, Field(ge=0.0, le=0.5)] = 0.08
    loaded_speed_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """Of the speeds above, while a part is in the fingers."""
    reach_speed_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    """Of the speeds above, on the way down among parts that nobody sees exactly.

    At full speed (0.37 m/s) a blow on one takes a joint to twice its acceleration, and
    the arm comes to rest 16 mm further.
    """


class SupervisorConfig(Section):
    """Timing and patience of the supervisor."""

    command_period_s: Annotated[float, Field(ge=0.005, le=0.05)] = 0.02
    max_tries_per_part: Annotated[int, Field(ge=1, le=20)] = 3
    max_failures_in_row: Annotated[int, Field(ge=1, le=100)] = 6
    observation_age_s: Annotated[float, Field(gt=0.0, le=5.0)] = 0.5
