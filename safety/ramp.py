"""The ramp to rest: the plan that is always there, checked before it is needed."""

from typing import Any

from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled


@compiled
def is_at_rest(state: Any) -> bool:
    """Tell whether the vetted velocity is zero."""
    # Written out: the compiler knows no generators.
    for i in range(6):  # noqa: SIM110
        if state["qd"][i] != 0.0:
            return False
    return True


@compiled
def compute_stopping_time(qd: Vector, lim: Any) -> float:
    """Return the time [s] in which all joints come to rest together."""
    stopping_s = 0.0
    for i in range(6):
        stopping_s = max(stopping_s, abs(qd[i]) / lim["joint_acceleration_radps2"][i])
    return stopping_s


@compiled
def ramp(was: Any, now_ns: int, lim: Any, now: Any) -> None:
    """Slow all joints down together, along the way they were going."""
    stopping_s = compute_stopping_time(was["qd"], lim)
    scale = 1.0 - lim["period_s"] / max(stopping_s, lim["period_s"])
    # After a long silence the robot rests at the last setpoint; a ramp from the old
    # velocity would start it again.
    if was["vetted_ns"] > 0 and now_ns - was["vetted_ns"] > lim["standstill_ns"]:
        scale = 0.0
    # A time before all time says nothing of when the next one comes.
    now["vetted_ns"] = now_ns if now_ns > 0 else was["vetted_ns"]
    now["scale"] = 1.0
    now["sigma"] = 0.0
    for i in range(6):
        now["qd"][i] = was["qd"][i] * scale
        now["q"][i] = was["q"][i] + now["qd"][i] * lim["period_s"]
        # Whatever comes after the ramp starts from rest, and with no acceleration.
        now["qdd"][i] = 0.0
        if scale > 0.0:
            now["qdd"][i] = (now["qd"][i] - was["qd"][i]) / lim["period_s"]
