"""Rules between sections: what each takes by itself, and makes no sense together.

Functions of the sections that they compare; `ops.settings` asks them all.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

from cell.config import (
    ArmConfig,
    BinConfig,
    CameraConfig,
    CellGeometryConfig,
    GripperConfig,
    MotionConfig,
    PlcConfig,
)
from cell.supervisor.orders import LARGEST_PART_M
from safety.config import SafetyConfig

BRAKING_S: Final = 0.1
"""The ramp's share of the 200 ms in which a quick stop has the arm at rest; the rest
goes to noticing and to the robot's own filter."""

# For 0.1 s x 30 rad/s2 is not 3 rad/s in binary.
_ROUNDING = 1e-9


def is_real(arm: ArmConfig) -> bool:
    """Say whether an arm is a real one: a robot on this machine is a virtual one."""
    return not is_loopback(host_of(arm))


def host_of(device: object) -> str:
    """Return where a device is; what has no address runs on this machine."""
    return str(getattr(device, "host", "localhost"))


def is_loopback(host: str) -> bool:
    """Say whether a host is this very machine."""
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_devices_are_as_real(
    arm: ArmConfig,
    gripper: GripperConfig,
    cameras: Mapping[str, CameraConfig],
    plc: PlcConfig,
) -> None:
    """Keep a real robot away from devices that are recorded or simulated.

    Raises:
        ValueError: naming the key.
    """
    if not is_real(arm):
        return
    overhead = cameras["overhead"]
    if overhead.kind == "replay":
        raise ValueError(
            "cameras.overhead.kind is replay: a real robot would pick from recorded"
            " pictures; set it to realsense or software"
        )
    if gripper.kind == "sim":
        raise ValueError(
            "gripper.kind is sim: a real robot would move with fingers that nobody"
            " drives; set it to robotiq_urcap"
        )
    if plc.kind == "sim":
        raise ValueError(
            "plc.kind is sim: a real robot would work without its line, which could"
            " not stop it; set it to modbus"
        )


def check_heights(motion: MotionConfig, source: BinConfig) -> None:
    """Refuse ways in joint space that begin or end in the bin.

    Both heights count from the grasp, which lies on the bin's floor at the lowest; a
    part may hang below the tool point by its whole length.

    Raises:
        ValueError: naming the keys.
    """
    part_m, wall_m = LARGEST_PART_M[1], source.wall_height_m
    least_m = wall_m + part_m
    if motion.retreat_height_m < least_m * (1 - _ROUNDING):
        raise ValueError(
            f"motion.retreat_height_m is {motion.retreat_height_m}; a part that was"
            f" gripped on the floor would be driven into the wall of the bin: give"
            f" {least_m:.3f} at least, {part_m} more than cell.bin.wall_height_m"
        )
    least_m = max(wall_m, part_m)
    if motion.approach_height_m < least_m:
        raise ValueError(
            f"motion.approach_height_m is {motion.approach_height_m}; the fingers would"
            f" come in below the rim of the bin, or a part in them below the place:"
            f" give {least_m} at least, the larger one of cell.bin.wall_height_m and"
            f" {part_m}"
        )


def check_braking(safety: SafetyConfig) -> None:
    """Refuse a ramp to rest that takes too long, as low accelerations make it.

    Raises:
        ValueError: naming both keys.
    """
    pairs = zip(safety.joint_speed_radps, safety.joint_acceleration_radps2, strict=True)
    for index, (speed, rate) in enumerate(pairs):
        if speed > BRAKING_S * rate * (1 + _ROUNDING):
            raise ValueError(
                f"safety.joint_acceleration_radps2[{index}] is {rate}; the guard brakes"
                f" with it, which from the {speed} of"
                f" safety.joint_speed_radps[{index}] takes {speed / rate:.3g} s, and"
                f" {BRAKING_S} s are allowed: raise it, or lower the speed to"
                f" {BRAKING_S * rate:.3g}"
            )


def check_part(cell: CellGeometryConfig, gripper: GripperConfig) -> None:
    """Refuse a band of widths that open fingers lie within.

    Raises:
        ValueError: naming the keys.
    """
    if cell.part is not None and cell.part.width_max_m >= gripper.max_aperture_m:
        raise ValueError(
            f"cell.part.width_max_m is {cell.part.width_max_m}; it must be less than"
            f" gripper.max_aperture_m, {gripper.max_aperture_m}, or open fingers would"
            " count as a part"
        )
