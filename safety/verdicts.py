"""What a check of the guard answers, and the state that the guard keeps between cycles.

Comparisons are written so that a margin that is no number breaks its limit.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled

_NONE = int(HoldReason.NONE)

STATE = np.dtype(
    [
        ("q", "<f8", (6,)),
        ("qd", "<f8", (6,)),
        ("qdd", "<f8", (6,)),
        ("vetted_ns", "<i8"),
        ("reason", "<i8"),
        ("margin", "<f8"),
        ("value", "<f8"),
        ("item", "<i8"),
        ("scale", "<f8"),
        ("load", "<f8"),
        ("load_cap", "<f8"),
        ("sigma", "<f8"),
        ("place_m", "<f8", (3,)),
    ]
)
"""Vetted motion after one cycle, and why it is what it is.

`margin`, `value` and `item` (joint, axis or clearance check, -1 if none) belong to the
limit that was broken or was nearest; a state without a reason does not keep which one
that is. `scale` says how fast, as a ratio, the next cycles may go towards it;
`load` is the smoothed load ratio of the tool; `load_cap` what it may not exceed while
the arm creeps under too much load, else 0; `sigma` the smallest singular value at `q`,
0 while it is not known; `place_m` the place of the tool in base, known when `sigma` is.
"""

Check = tuple[int, float, float, int, float, int]
"""Reason, margin as a ratio, value, item, scale, limit.

Margin, value and item are those of the limit: the one that is broken, which is the
reason as well, or the nearest one of a grant, whose reason is NONE.
"""

ROUNDING: Final = 2.0**-30
"""Differences of positions near 2 pi lose digits; a limit met exactly must pass.

About 1e-9; a power of two can be met exactly, and so be tested."""

SLOWEST: Final = 0.1
"""Speed ratio at a limit itself: what comes to a limit comes to it slowly."""

NOTHING_NEAR: Final[Check] = (_NONE, 1.0, 0.0, -1, 1.0, _NONE)
"""Grant of a check that no limit is near to."""


@compiled
def refuse(limit: int, margin: float, value: float, item: int) -> Check:
    """Return the refusal of what breaks a limit."""
    return limit, margin, value, item, SLOWEST, limit


@compiled
def grant(limit: int, margin: float, value: float, item: int) -> Check:
    """Return the grant of what a limit is near to, at full speed."""
    return _NONE, margin, value, item, 1.0, limit


@compiled
def take_nearer(one: Check, other: Check) -> Check:
    """Return the grant with the smaller margin, at the smaller of both speeds."""
    if other[1] < one[1]:
        return slow_down(other, one[4])
    return slow_down(one, other[4])


@compiled
def slow_down(found: Check, scale: float) -> Check:
    """Return a check at a speed ratio of at most `scale`."""
    reason, margin, value, item, own, limit = found
    return reason, margin, value, item, min(own, scale), limit


def make_state(q: Any) -> NDArray[Any]:
    """Return rest at `q`, shape (1,) of `STATE`."""
    state = np.zeros(1, STATE)
    state["q"] = q
    state["item"] = -1
    state["scale"] = 1.0
    return state
