"""The check of the fingers: every bar, every wall and every bound, in numbers."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.fingers import FingerGeometry
from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from safety import finger_check
from safety.finger_check import BinShape, FingerCheck
from safety.verdicts import NOTHING_NEAR, grant, refuse
from safety.zones import BoxZone, ToolCapsule
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, SAFETY, TOOL_Z_M

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
GRIPPER = FingerGeometry(
    pad_width_m=0.022,
    pad_thickness_m=0.014,
    knuckle_thickness_m=0.032,
    knuckle_rise_m=0.045,
    closed_tip_m=0.17,
    apertures_m=(0.0, 0.03, 0.06, 0.08),
    rises_m=(0.0, 0.001, 0.005, 0.013),
)
BASE_FROM_BIN = Pose.from_rotvec([0.3, -0.4, 0.05], [0.2, -0.3, 0.5])
SLOPE_RAD, HEIGHT_M = 0.3, 0.08
BIN = BinShape(BASE_FROM_BIN, (0.3, 0.2), HEIGHT_M, SLOPE_RAD)


def zone(name: str, *keeps_out: Any) -> BoxZone:
    return BoxZone(
        name=name,
        keeps_out=keeps_out,
        margin_m=0.03,
        centre_m=(0.4, 0.4, 0.1),
        half_m=(0.05, 0.05, 0.05),
    )


def capsule(name: str, group: Any, start: Any, end: Any, radius_m: float) -> Any:
    return ToolCapsule(
        name=name, group=group, from_m=start, to_m=end, radius_m=radius_m
    )


CAMERA = capsule("camera", "tool", (0.0, 0.08, 0.0), (0.0, 0.09, 0.05), 0.02)
CONFIG = SAFETY.model_copy(
    update={
        "zones": (
            zone("table", "arm", "tool"),
            zone("shelf", "tool", "fingers"),
            zone("lamp", "arm"),
            zone("nest", "fingers"),
        ),
        "tool": (
            capsule("body", "tool", (0.0, 0.0, 0.0), (0.0, 0.0, 0.1), 0.05),
            CAMERA,
            capsule("hook", "tool", (0.0, 0.09, 0.0), (0.0, 0.0, 0.05), 0.02),
            capsule("rim", "tool", (0.03, 0.04, 0.0), (0.04, 0.03, 0.0), 0.05),
            capsule("pads", "fingers", (0.0, 0.08, 0.0), (0.0, 0.09, 0.05), 0.02),
        ),
    }
)


def make_check() -> FingerCheck:
    return FingerCheck(CONFIG, TOOL, BIN, GRIPPER)


def list_bars(aperture_m: float, tip_m: float) -> list[Any]:
    """Both ends of each bar, left before right: pad, tip, knuckle and two edges."""
    half = aperture_m / 2
    low, high = tip_m - 0.005, tip_m - 0.045 - 0.005
    bars: list[Any] = []
    for sign in (-1.0, 1.0):
        inner = sign * (half + 0.003)
        outer = sign * (half + 0.009)
        knuckle = sign * (half + 0.027)
        bars += [
            [[inner, -0.01, low], [inner, 0.01, low]],
            [[outer, -0.01, low], [outer, 0.01, low]],
            [[knuckle, -0.01, high], [knuckle, 0.01, high]],
            [[outer, -0.01, low], [knuckle, -0.01, high]],
            [[outer, 0.01, low], [knuckle, 0.01, high]],
        ]
    return bars


BARS = ("pad", "tip", "knuckle", "edge", "other_edge")
HAND = (
    "palm",
    "camera",
    *(f"left_{bar}" for bar in BARS),
    *(f"right_{bar}" for bar in BARS),
)


def test_the_hand_is_a_palm_what_hangs_beside_it_and_ten_bars() -> None:
    made = make_check()
    names, around = made._names, made._around
    first = names.capsules.index("palm")

    assert names.capsules[first:-1] == HAND
    assert around.radius[first:-1].tolist() == [0.045, 0.02, *[0.005] * 10]
    assert around.ends[first].tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.045]]
    assert around.ends[first + 1].tolist() == [[0.0, 0.08, 0.0], [0.0, 0.09, 0.05]]
    # At first as far out and as far down as they ever are: so their reach is bounded.
    assert around.ends[first + 2 : -1] == pytest.approx(
        np.array(list_bars(0.08, GRIPPER.closed_tip_m)), abs=1e-15
    )


def test_it_keeps_out_of_the_bin_and_what_the_body_alone_keeps_out_of() -> None:
    made = make_check()
    names, around = made._names, made._around
    walls = tuple(f"bin_wall_{name}" for name in ("px", "nx", "py", "ny"))

    assert names.zones == ("table", "bin_floor", *walls)
    assert around.zone_margin.tolist() == [0.0, 0.001, *[0.004] * 4]
    first = names.capsules.index("palm")
    wanted = [[c, z] for z in range(6) for c in range(first, first + len(HAND))]
    assert around.against_zone.tolist() == wanted


def test_the_hand_is_not_checked_against_itself() -> None:
    assert make_check()._around.against_self.shape == (0, 2)


@pytest.mark.parametrize(
    ("aperture_m", "rise_m"), [(0.0, 0.0), (0.03, 0.001), (0.07, 0.009), (0.08, 0.013)]
)
def test_bars_follow_the_opening(aperture_m: Any, rise_m: Any) -> None:
    made = make_check()

    made._open(aperture_m)

    first = made._names.capsules.index("left_pad")
    wanted = np.array(list_bars(aperture_m, 0.17 - rise_m))
    assert made._around.ends[first:-1] == pytest.approx(wanted, abs=1e-15)
    assert (made._around.ends[:first] == make_check()._around.ends[:first]).all()
    assert (made._around.ends[-1] == make_check()._around.ends[-1]).all()


# --- the bin -------------------------------------------------------------------------


def find_zone(name: str) -> Any:
    (found,) = (z for z in finger_check._make_bin_zones(BIN) if z.name == name)
    return found


def place(box: Any, point: Any) -> Any:
    """Where a point of a box is in the bin."""
    in_base = box.base_from_zone().apply(np.array(point))
    return BASE_FROM_BIN.inverse().apply(in_base)


def test_the_floor_ends_where_the_bin_begins() -> None:
    floor = find_zone("bin_floor")

    assert floor.keeps_out == ("fingers",)
    assert floor.half_m == (0.15, 0.1, 0.01)
    assert place(floor, [0.0, 0.0, 0.01]) == pytest.approx(np.zeros(3), abs=1e-12)
    corner = place(floor, [0.15, 0.1, -0.01])
    assert corner == pytest.approx([0.15, 0.1, -0.02], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "axis", "sign"), [("px", 0, 1), ("nx", 0, -1), ("py", 1, 1), ("ny", 1, -1)]
)
def test_a_wall_leans_outward_from_the_edge_of_the_floor(
    name: Any, axis: Any, sign: Any
) -> None:
    wall = find_zone(f"bin_wall_{name}")
    half = (0.15, 0.1)
    flare_m = HEIGHT_M * math.tan(SLOPE_RAD)
    width_m, thickness_m, up_m = wall.half_m
    low, high, behind = np.zeros(3), np.zeros(3), np.zeros(3)
    low[axis] = sign * half[axis]
    high[axis] = sign * (half[axis] + flare_m)
    high[2] = HEIGHT_M
    behind[axis] = sign * 0.02 * math.cos(SLOPE_RAD)
    behind[2] = -0.02 * math.sin(SLOPE_RAD)

    assert wall.keeps_out == ("fingers",)
    assert width_m == pytest.approx(half[1 - axis] + flare_m, abs=1e-12)
    assert thickness_m == pytest.approx(0.01, abs=1e-15)
    bottom = place(wall, [0.0, -thickness_m, -up_m])
    assert bottom == pytest.approx(low, abs=1e-12)
    top = place(wall, [0.0, -thickness_m, up_m])
    assert top == pytest.approx(high, abs=1e-12)
    outside = place(wall, [0.0, thickness_m, -up_m])
    assert outside == pytest.approx(low + behind, abs=1e-12)
    aside = np.abs(place(wall, [width_m, -thickness_m, -up_m]) - low)
    wanted = np.zeros(3)
    wanted[1 - axis] = width_m
    assert aside == pytest.approx(wanted, abs=1e-12)


# --- what is asked of the clearances -------------------------------------------------


class Clearances:
    """Stands in for the kernels; remembers what they were asked."""

    def __init__(self, monkeypatch: Any) -> None:
        self.asked: list[Any] = []
        self.openings: list[float] = []
        self.found: list[Any] = []
        self.room = np.array([0.3])
        monkeypatch.setattr(finger_check, "check_clearance", self._check)
        monkeypatch.setattr(finger_check, "fill_clearances", self._fill)

    def _note(self, around: Any, *asked: Any) -> None:
        first = around.ends[-11, 0, 0], around.ends[-6, 0, 0]
        self.openings.append(round(float(first[1] - first[0]) - 0.006, 9))
        self.asked.append(asked)

    def _check(self, q: Any, way: Any, around: Any) -> Any:
        self._note(around, q.tolist(), way.tolist())
        return self.found.pop(0) if self.found else NOTHING_NEAR

    def _fill(self, q: Any, around: Any, horizon: float, clearance: Any) -> None:
        self._note(around, q.tolist(), horizon, clearance.shape)
        clearance[:] = 0.5
        clearance[: len(self.room)] = self.room


@pytest.fixture
def clearances(monkeypatch: Any) -> Clearances:
    return Clearances(monkeypatch)


def test_a_way_is_looked_at_with_the_asked_and_with_the_widest_opening(
    clearances: Clearances,
) -> None:
    assert make_check().find_on_way(HOME_Q, OVER_BIN_Q, 0.03) == ""

    way = (HOME_Q.tolist(), (OVER_BIN_Q - HOME_Q).tolist())
    assert clearances.asked == [way, way]
    assert clearances.openings == [0.03, 0.08]


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (2, "leaves -0.012 m between left_pad and zone table"),
        (14, "leaves -0.011 m of 0.001 m between left_pad and zone bin_floor"),
        (26, "leaves -0.008 m of 0.004 m between left_pad and zone bin_wall_px"),
    ],
)
@pytest.mark.parametrize("granted", [0, 1])
def test_what_is_touched_on_a_way_is_named(
    clearances: Clearances, granted: Any, item: Any, wanted: Any
) -> None:
    zone = int(HoldReason.KEEP_OUT_ZONE)
    fine = grant(zone, 0.7, 0.014, 3)
    refused = refuse(zone, -0.5, -0.0123, item)
    clearances.found = [*[fine] * granted, refused]

    wrong = make_check().find_on_way(HOME_Q, OVER_BIN_Q, 0.03)

    assert wrong == wanted
    assert len(clearances.asked) == granted + 1


@pytest.mark.parametrize(
    ("room_m", "wanted"),
    [
        (0.0, ""),
        (0.05, ""),
        (-1e-9, "leaves -0.000 m between camera and zone table"),
        (-0.02, "leaves -0.020 m between camera and zone table"),
    ],
)
def test_in_one_position_the_nearest_pair_decides(
    clearances: Clearances, room_m: Any, wanted: Any
) -> None:
    clearances.room = np.array([0.3, room_m, 0.2, 0.4])

    assert make_check().find_at(HOME_Q, 0.06) == wanted
    assert clearances.asked == [(HOME_Q.tolist(), 0.1, (72,))]
    assert clearances.openings == [0.06]


def test_fingers_are_looked_at_in_six_openings_while_they_close(
    clearances: Clearances,
) -> None:
    assert make_check().find_while_closing(HOME_Q, 0.05) == ""

    assert clearances.openings == [0.05, 0.04, 0.03, 0.02, 0.01, 0.0]


def test_the_first_opening_that_touches_something_is_told(monkeypatch: Any) -> None:
    made = make_check()
    asked: list[float] = []

    def find_at(q: Any, aperture_m: float) -> str:
        asked.append(aperture_m)
        return f"at {len(asked)}" if len(asked) > 2 else ""

    monkeypatch.setattr(made, "find_at", find_at)

    assert made.find_while_closing(HOME_Q, 0.05) == "at 3"
    assert len(asked) == 3


def test_the_numbers_of_the_hand_are_those_that_were_signed_off() -> None:
    assert finger_check._BAR_M == 0.005
    assert finger_check._INWARD_M == 0.002
    assert finger_check._SIDEWARD_M == 0.004
    assert finger_check._PALM_RADIUS_M == 0.045
    assert finger_check._PALM_END_M == (0.0, 0.0, 0.045)
    assert finger_check._WALL_M == 0.02
    assert finger_check._CLOSING_STEPS == 6
    assert finger_check._SEEN_M == 0.1
