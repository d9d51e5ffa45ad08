"""The only conversions between SI and the units of people and registers."""

import math


def rad_from_deg(angle_deg: float) -> float:
    """Convert degrees to radians."""
    return math.radians(angle_deg)


def deg_from_rad(angle_rad: float) -> float:
    """Convert radians to degrees."""
    return math.degrees(angle_rad)


def m_from_mm(length_mm: float) -> float:
    """Convert millimetres to metres."""
    return length_mm / 1000.0


def mm_from_m(length_m: float) -> float:
    """Convert metres to millimetres."""
    return length_m * 1000.0


def s_from_ns(duration_ns: int) -> float:
    """Convert nanoseconds to seconds."""
    return duration_ns / 1e9


def ns_from_s(duration_s: float) -> int:
    """Convert seconds to whole nanoseconds."""
    return round(duration_s * 1e9)


def ms_from_ns(duration_ns: int) -> float:
    """Convert nanoseconds to milliseconds."""
    return duration_ns / 1e6


def ratio_from_permille(value: int) -> float:
    """Convert a register in thousandths to a ratio."""
    return value / 1000.0


def permille_from_ratio(ratio: float) -> int:
    """Convert a ratio to whole thousandths."""
    return round(ratio * 1000.0)
