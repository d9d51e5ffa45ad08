"""What every gripper driver demands of a command. Pure."""

import math

from cell.contracts.errors import DriverError
from cell.contracts.robot import GripperCommand


def check_command(command: GripperCommand) -> None:
    """Refuse a command outside of its ranges.

    Raises:
        DriverError: naming the value.
    """
    if not math.isfinite(command.aperture_m) or command.aperture_m < 0.0:
        raise DriverError(
            "gripper", f"aperture_m must be finite and >= 0, got {command.aperture_m}"
        )
    for name in ("speed_ratio", "force_ratio"):
        value = getattr(command, name)
        # Written so that NaN is refused as well.
        if not 0.0 <= value <= 1.0:
            raise DriverError("gripper", f"{name} must be 0 to 1, got {value}")


def count_from_ratio(ratio: float) -> int:
    """Return the 0..255 count of a ratio."""
    return round(255 * ratio)
