"""The only conversions between SI and the units of people and registers."""

import math


def rad_from_deg(angle_deg: float) -> float:
    """Convert degrees to radians."""
    return math.radians(angle_deg)


def s_from_ns(duration_ns: int) -> float:
    """Convert nanoseconds to seconds."""
    return duration_ns / 1e9


def ns_from_s(duration_s: float) -> int:
    """Convert seconds to whole nanoseconds."""
    return round(duration_s * 1e9)


def ms_from_ns(duration_ns: int) -> float:
    """Convert nanoseconds to milliseconds."""
    return duration_ns / 1e6
