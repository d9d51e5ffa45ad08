"""The gripper that grasp planning knows, and the room it is given."""

from cell.contracts.fingers import FingerGeometry

__all__ = ["FingerGeometry"]

ROBOTIQ_2F85 = FingerGeometry(
    pad_width_m=0.022,
    pad_thickness_m=0.014,
    knuckle_thickness_m=0.032,
    knuckle_rise_m=0.045,
    closed_tip_m=0.1736,
    apertures_m=(0.0, 0.0172, 0.032, 0.0464, 0.0602, 0.0732, 0.0852),
    rises_m=(0.0, 0.0, 0.001, 0.0028, 0.0055, 0.009, 0.0133),
)
"""Measured on the gripper's linkage model, from the flange's mounting face."""

FINGER_DEPTH_M = 0.030
"""How far below a part's top the closed tips go at most."""

FLOOR_CLEARANCE_M = 0.002
"""Closed tips stay this far above the bin floor."""

FINGER_CLEARANCE_M = 0.003
"""Open tips end this far above whatever lies under them."""
