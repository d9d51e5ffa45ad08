"""Keeps the fingers off the fixtures that a chunk could drive them into.

In every cycle the guard keeps the arm and the gripper's body out of the zones. The
fingers have to go where those may not: into the bin. There the guard has only the
workspace and the force to go by, so that a chunk is refused before it begins when its
fingers, at the opening that it asks for, would touch the bin, the table or the outfeed
on the way, or the floor while they close. Parts are not looked at: touching those is
what fingers are for.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from cell.contracts.fingers import WALL_CLEARANCE_M, FingerGeometry
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import HoldReason
from safety.capsules import make_surroundings, name_check
from safety.clearance import check_clearance, fill_clearances
from safety.config import SafetyConfig
from safety.zones import BoxZone, ToolCapsule, Zone

# Radius of the bars that stand for a finger. They are round and its pads are not, so
# that they reach a little beyond where that costs nothing: sideways, and inward.
_BAR_M: Final = 0.005
_INWARD_M: Final = 0.002
_SIDEWARD_M: Final = 0.004
_PALM_RADIUS_M: Final = 0.045
_PALM_END_M: Final = (0.0, 0.0, 0.045)
# Walls are thinner; whatever is inside of one is too far in any case.
_WALL_M: Final = 0.02
_FLOOR_MARGIN_M: Final = 0.001
_CLOSING_STEPS: Final = 6
_SEEN_M: Final = 0.1
"""Clearances beyond it need not be exact."""

_Bars = list[tuple[str, tuple[float, float, float], tuple[float, float, float]]]


@dataclass(frozen=True, eq=False)
class BinShape:
    """A bin with a rectangular floor and walls that lean outward.

    Attributes:
        base_from_bin: centre of the floor.
        floor_size_m: along x and y.
        wall_height_m: above the floor.
        wall_slope_rad: from the vertical.
    """

    base_from_bin: Pose
    floor_size_m: tuple[float, float]
    wall_height_m: float
    wall_slope_rad: float


class FingerCheck:
    """Says what the fingers would touch."""

    def __init__(
        self,
        config: SafetyConfig,
        flange_from_tcp: Pose,
        bin_shape: BinShape,
        fingers: FingerGeometry,
    ) -> None:
        """Take the bin, and each zone that the gripper's body has to keep out of.

        Args:
            config: limits of the cell.
            flange_from_tcp: tool of the arm.
            bin_shape: the bin.
            fingers: shape of the gripper.
        """
        self._fingers = fingers
        self._max_aperture_m = fingers.apertures_m[-1]
        zones = [
            zone.model_copy(update={"keeps_out": ("fingers",), "margin_m": 0.0})
            for zone in config.zones
            if "tool" in zone.keeps_out and "fingers" not in zone.keeps_out
        ]
        bars = self._place_bars(self._max_aperture_m, fingers.closed_tip_m)
        capsules = [_make_capsule(*bar, _BAR_M) for bar in bars]
        palm = _make_capsule("palm", (0.0, 0.0, 0.0), _PALM_END_M, _PALM_RADIUS_M)
        # The capsule of the gripper's body is too stout for the bin; what hangs beside
        # it, as a wrist camera does, has no more business there than the palm.
        beside = [
            capsule.model_copy(update={"group": "fingers"})
            for capsule in config.tool
            if capsule.group == "tool" and _hangs_beside(capsule)
        ]
        hand = config.model_copy(
            update={
                "tool": (palm, *beside, *capsules),
                "zones": (*zones, *_make_bin_zones(bin_shape)),
            }
        )
        around, self._names = make_surroundings(hand, flange_from_tcp)
        # Against itself the hand is checked elsewhere.
        self._around = around._replace(against_self=np.zeros((0, 2), np.int64))
        self._first = self._names.capsules.index(bars[0][0])
        self._clearance = np.zeros(len(around.against_zone))

    def find_on_way(self, q_start: Vector, q_end: Vector, aperture_m: float) -> str:
        """Say what is touched on a straight way through joint space, "" for nothing.

        At the asked opening, and at the widest: they may still be closing or opening.
        """
        for opening_m in (aperture_m, self._max_aperture_m):
            self._open(opening_m)
            found = check_clearance(q_start, q_end - q_start, self._around)
            if found[0] != HoldReason.NONE:
                return self._describe(found[3], found[2])
        return ""

    def find_at(self, q: Vector, aperture_m: float) -> str:
        """Say what is touched in one position of the arm, "" for nothing."""
        self._open(aperture_m)
        fill_clearances(q, self._around, _SEEN_M, self._clearance)
        nearest = int(np.argmin(self._clearance))
        room_m = float(self._clearance[nearest])
        return "" if room_m >= 0.0 else self._describe(nearest, room_m)

    def find_while_closing(self, q: Vector, aperture_m: float) -> str:
        """Say what is touched while the fingers close, "" for nothing."""
        for opening_m in np.linspace(aperture_m, 0.0, _CLOSING_STEPS).tolist():
            found = self.find_at(q, opening_m)
            if found:
                return found
        return ""

    def _open(self, aperture_m: float) -> None:
        tip_m = self._fingers.closed_tip_m - self._fingers.rise_m(aperture_m)
        bars = self._place_bars(aperture_m, tip_m)
        last = self._first + len(bars)
        self._around.ends[self._first : last] = [[start, end] for _, start, end in bars]

    def _place_bars(self, aperture_m: float, tip_m: float) -> _Bars:
        """Return the bars that enclose both fingers, in the flange frame [m]."""
        shape = self._fingers
        side = shape.pad_width_m / 2 - _BAR_M + _SIDEWARD_M
        inner = aperture_m / 2 + _BAR_M - _INWARD_M
        outer = aperture_m / 2 + shape.pad_thickness_m - _BAR_M
        knuckle = aperture_m / 2 + shape.knuckle_thickness_m - _BAR_M
        low, high = tip_m - _BAR_M, tip_m - shape.knuckle_rise_m - _BAR_M
        bars: _Bars = []
        for name, sign in (("left", -1.0), ("right", 1.0)):
            bars += [
                (f"{name}_pad", (sign * inner, -side, low), (sign * inner, side, low)),
                (f"{name}_tip", (sign * outer, -side, low), (sign * outer, side, low)),
                (
                    f"{name}_knuckle",
                    (sign * knuckle, -side, high),
                    (sign * knuckle, side, high),
                ),
                (
                    f"{name}_edge",
                    (sign * outer, -side, low),
                    (sign * knuckle, -side, high),
                ),
                (
                    f"{name}_other_edge",
                    (sign * outer, side, low),
                    (sign * knuckle, side, high),
                ),
            ]
        return bars

    def _describe(self, item: int, room_m: float) -> str:
        pair = name_check(item, self._around, self._names)
        zone = self._around.against_zone[item, 1]
        margin_m = float(self._around.zone_margin[zone])
        of_margin = f" of {margin_m:.3f} m" if margin_m else ""
        return f"leaves {room_m + margin_m:.3f} m{of_margin} between {pair}"


def _make_capsule(
    name: str,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    radius_m: float,
) -> ToolCapsule:
    return ToolCapsule(
        name=name, group="fingers", from_m=start, to_m=end, radius_m=radius_m
    )


def _hangs_beside(capsule: ToolCapsule) -> bool:
    """Say whether a capsule leaves the tool's own axis free."""
    ends = (capsule.from_m, capsule.to_m)
    return all(math.hypot(x, y) > capsule.radius_m for x, y, _z in ends)


def _make_bin_zones(shape: BinShape) -> list[Zone]:
    """Return floor and walls as boxes in base."""
    half = (shape.floor_size_m[0] / 2, shape.floor_size_m[1] / 2)
    slope = shape.wall_slope_rad
    slant = shape.wall_height_m / math.cos(slope)
    flare = shape.wall_height_m * math.tan(slope)
    floor = Pose(np.array([0.0, 0.0, -_WALL_M / 2]), Pose.identity().quat_wxyz)
    floor_half_m = (*half, _WALL_M / 2)
    zones = [_make_box("bin_floor", shape, floor, floor_half_m, _FLOOR_MARGIN_M)]
    upward = np.array([0.0, 0.0, 1.0])
    for name, axis, sign in (("px", 0, 1), ("nx", 0, -1), ("py", 1, 1), ("ny", 1, -1)):
        outward = np.zeros(3)
        outward[axis] = sign
        up = math.sin(slope) * outward + math.cos(slope) * upward
        normal = math.cos(slope) * outward - math.sin(slope) * upward
        centre = half[axis] * outward + up * slant / 2 + normal * _WALL_M / 2
        frame = Pose.identity().as_matrix()
        frame[:3] = np.column_stack([np.cross(normal, up), normal, up, centre])
        sides = (half[1 - axis] + flare, _WALL_M / 2, slant / 2)
        wall = Pose.from_matrix(frame)
        zones.append(
            _make_box(f"bin_wall_{name}", shape, wall, sides, WALL_CLEARANCE_M)
        )
    return zones


def _make_box(
    name: str,
    shape: BinShape,
    bin_from_box: Pose,
    half_m: tuple[float, float, float],
    margin_m: float,
) -> Zone:
    base_from_box = shape.base_from_bin @ bin_from_box
    x, y, z = base_from_box.position_m.tolist()
    turn = base_from_box.as_rotvec().tolist()
    return BoxZone(
        name=name,
        keeps_out=("fingers",),
        centre_m=(x, y, z),
        half_m=half_m,
        rotvec_rad=(turn[0], turn[1], turn[2]),
        margin_m=margin_m,
    )
