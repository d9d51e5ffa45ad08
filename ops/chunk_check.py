"""The check of whole chunks for the cell of a configuration."""

from cell.contracts.units import rad_from_deg
from ops.settings import Settings
from policies.runtime.fingers import ROBOTIQ_2F85
from safety.chunk_check import EnvelopeChunkCheck
from safety.finger_check import BinShape, FingerCheck


def make_chunk_check(settings: Settings) -> EnvelopeChunkCheck:
    """Build the check with the fixtures that the configuration names."""
    bin_config = settings.cell.bin
    tool = settings.arm.flange_from_tcp.pose()
    shape = BinShape(
        base_from_bin=bin_config.base_from_bin.pose(),
        floor_size_m=bin_config.floor_size_m,
        wall_height_m=bin_config.wall_height_m,
        wall_slope_rad=rad_from_deg(bin_config.wall_slope_deg),
    )
    return EnvelopeChunkCheck(
        settings.safety,
        tool,
        settings.gripper.max_aperture_m,
        FingerCheck(settings.safety, tool, shape, ROBOTIQ_2F85),
    )
