"""How the fingers' opening, the driver joint and the actuator's control relate.

The four-bar linkage is not linear: the table was measured on the compiled model
(gravity off, fingers free) and a test measures it again. The fingertips move towards
the part while they close, see `compute_tip_z_m`.
"""

from typing import Final

import numpy as np

MAX_APERTURE_M: Final = 0.0852
"""Distance between the pads when fully open [m]."""

CONTROL_MAX: Final = 255.0
"""Actuator control that drives the fingers fully closed; 0 opens them."""

DRIVER_MAX_RAD: Final = 0.8
"""Driver joint angle that belongs to `CONTROL_MAX` when nothing is in the way."""

SPEED_MIN_MPS: Final = 0.02
SPEED_MAX_MPS: Final = 0.15
"""Closing speeds of the 2F-85's speed register (data sheet), both fingers together."""

TORQUE_MIN_NM: Final = 2.0
TORQUE_MAX_NM: Final = 8.0
"""Actuator limits for force ratio 0 and 1; 1 N.m presses each pad with about 9.5 N."""

# Driver joint [rad], distance between the pads [m], fingertip end above the flange [m].
_MEASURED: Final = np.array(
    [
        (0.0000, 0.0852, 0.1603),
        (0.0496, 0.0808, 0.1620),
        (0.0966, 0.0762, 0.1636),
        (0.1436, 0.0716, 0.1651),
        (0.1907, 0.0668, 0.1664),
        (0.2377, 0.0618, 0.1677),
        (0.2847, 0.0568, 0.1688),
        (0.3317, 0.0516, 0.1699),
        (0.3787, 0.0464, 0.1708),
        (0.4257, 0.0410, 0.1716),
        (0.4727, 0.0356, 0.1722),
        (0.5198, 0.0302, 0.1728),
        (0.5668, 0.0247, 0.1732),
        (0.6138, 0.0191, 0.1735),
        (0.6608, 0.0135, 0.1737),
        (0.7078, 0.0079, 0.1737),
        (0.7548, 0.0023, 0.1736),
        (0.7740, 0.0000, 0.1735),
    ]
)
_DRIVER_RAD, _APERTURE_M, _TIP_Z_M = _MEASURED.T


def compute_aperture_m(driver_rad: float) -> float:
    """Return the distance between the pads for a driver joint angle [rad]."""
    return float(np.interp(driver_rad, _DRIVER_RAD, _APERTURE_M))


def compute_driver_rad(aperture_m: float) -> float:
    """Return the driver joint angle for a distance between the pads [m]."""
    return float(np.interp(aperture_m, _APERTURE_M[::-1], _DRIVER_RAD[::-1]))


def compute_control(aperture_m: float) -> float:
    """Return the actuator control, 0..255, that asks for an aperture [m]."""
    # At aperture 0 the full control presses the pads together instead of just meeting.
    if aperture_m <= 0:
        return CONTROL_MAX
    return compute_driver_rad(aperture_m) / DRIVER_MAX_RAD * CONTROL_MAX


def compute_tip_z_m(aperture_m: float) -> float:
    """Return the height of the fingertips' end in the flange frame, along +z [m]."""
    return float(np.interp(aperture_m, _APERTURE_M[::-1], _TIP_Z_M[::-1]))


def compute_torque_limit_nm(force_ratio: float) -> float:
    """Return the actuator's limit [N.m] for a force setting 0..1."""
    ratio = min(max(force_ratio, 0.0), 1.0)
    return TORQUE_MIN_NM + ratio * (TORQUE_MAX_NM - TORQUE_MIN_NM)


def compute_speed_mps(speed_ratio: float) -> float:
    """Return how fast the aperture changes [m/s] for a speed setting 0..1."""
    ratio = min(max(speed_ratio, 0.0), 1.0)
    return SPEED_MIN_MPS + ratio * (SPEED_MAX_MPS - SPEED_MIN_MPS)
