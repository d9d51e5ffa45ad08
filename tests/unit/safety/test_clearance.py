"""Keep-out zones and the arm against itself, on every cycle and in between."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from safety.capsules import make_surroundings
from safety.guard import EnvelopeGuard
from safety.zones import BoxZone, CylinderZone, HalfSpaceZone, ToolCapsule
from tests.fakes.adversary import attack
from tests.fakes.motion_oracle import (
    HOME_Q,
    OVER_BIN_Q,
    PERIOD_S,
    SAFETY,
    TOOL_Z_M,
    compute_tcp,
    find_breaches,
    measure_samples,
)

MS = 1_000_000
NO_FORCE = np.zeros(6)
TOOL = Pose(np.array([0.0, 0.0, TOOL_Z_M]), np.array([1.0, 0.0, 0.0, 0.0]))
TIP_M = (0.0, 0.0, TOOL_Z_M)
TIP = ToolCapsule(name="tip", group="fingers", from_m=TIP_M, to_m=TIP_M, radius_m=0.03)
HOME_TCP = compute_tcp(HOME_Q)

# Lowers the tool over the table when it turns in the positive sense.
SHOULDER_LIFT = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
BASE_TURN = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])


def plane(height_m: float, **changes: Any) -> HalfSpaceZone:
    facts: dict[str, Any] = {
        "name": "floor",
        "kind": "half_space",
        "keeps_out": ("fingers",),
        "point_m": (0.0, 0.0, height_m),
        "normal": (0.0, 0.0, 1.0),
    }
    return HalfSpaceZone(**{**facts, **changes})


def box(centre_m: Any, half_m: Any, **changes: Any) -> BoxZone:
    facts: dict[str, Any] = {
        "name": "block",
        "kind": "box",
        "keeps_out": ("fingers",),
        "centre_m": tuple(centre_m),
        "half_m": half_m,
    }
    return BoxZone(**{**facts, **changes})


class Rig:
    """A guard with zones, driven along one direction of joint space."""

    def __init__(
        self, *zones: Any, q: Any = HOME_Q, tool: Any = (TIP,), **changes: Any
    ) -> None:
        config = SAFETY.model_copy(
            update={
                "workspace_min_m": (-0.9, -0.9, -0.3),
                "workspace_max_m": (0.9, 0.9, 0.9),
                "tool": tool,
                "zones": zones,
                **changes,
            }
        )
        self.guard = EnvelopeGuard.from_config(config, TOOL, PERIOD_S)
        self.guard.reset(q)
        self.q = np.array(q)
        self.qd = np.zeros(6)
        self.now_ns = 1_000 * MS

    def ask(self, request: Any) -> Verdict:
        self.now_ns += 2 * MS
        verdict = self.guard.vet(
            request, self.now_ns, self.now_ns, self.now_ns, NO_FORCE
        )
        self.qd = (verdict.q - self.q) / PERIOD_S
        self.q = verdict.q
        return verdict

    def go(self, direction: Any, speed_radps: float, cycles: int) -> Verdict:
        """Speed up to a speed along a direction and keep it; end when refused."""
        for _ in range(cycles):
            wanted = np.array(direction) * speed_radps
            step = np.clip(wanted - self.qd, -20.0 * PERIOD_S, 20.0 * PERIOD_S)
            verdict = self.ask(self.q + (self.qd + step) * PERIOD_S)
            if verdict.reason is not HoldReason.NONE:
                return verdict
        return verdict

    def rest(self) -> None:
        """Let the ramp end."""
        while self.qd.any():
            self.ask(self.q)


def test_far_from_everything_a_request_is_granted_at_full_speed() -> None:
    verdict = Rig(plane(-0.2)).ask(HOME_Q)

    assert verdict.reason is HoldReason.NONE
    assert verdict.scale == 1.0


@pytest.mark.parametrize("speed_radps", [0.05, 0.5, 1.4])
def test_the_tool_stops_before_a_plane_however_fast_it_comes(speed_radps: Any) -> None:
    floor = plane(HOME_TCP[2] - 0.12)
    rig = Rig(floor)

    verdict = rig.go(SHOULDER_LIFT, speed_radps, 3000)
    rig.rest()

    assert verdict.reason is HoldReason.KEEP_OUT_ZONE
    assert "tip and zone floor" in rig.guard.describe(verdict)
    assert verdict.margin < 0.0
    left_m = measure_samples(rig.q, TIP, floor)
    assert 0.0 <= left_m < 0.05


def test_a_slow_tool_gets_as_near_as_a_tenth_of_a_millimetre() -> None:
    floor = plane(HOME_TCP[2] - 0.04)
    rig = Rig(floor)

    rig.go(SHOULDER_LIFT, 0.02, 3000)
    rig.rest()

    assert 0.0 <= measure_samples(rig.q, TIP, floor) < 1e-4


def test_a_margin_is_kept_to_the_solid() -> None:
    floor = plane(HOME_TCP[2] - 0.1, margin_m=0.02)
    rig = Rig(floor)

    rig.go(SHOULDER_LIFT, 0.3, 3000)
    rig.rest()

    assert measure_samples(rig.q, TIP, floor) >= 0.02


@pytest.mark.parametrize("thickness_m", [1e-3, 1e-5])
def test_nothing_tunnels_through_a_thin_plate(thickness_m: Any) -> None:
    side = np.cross([0.0, 0.0, 1.0], HOME_TCP)
    ahead = HOME_TCP + 0.25 * side / np.linalg.norm(side)
    plate = box(
        ahead,
        (thickness_m / 2, 0.3, 0.3),
        rotvec_rad=(0.0, 0.0, float(np.arctan2(side[1], side[0]))),
    )
    point = ToolCapsule(
        name="tip", group="fingers", from_m=TIP_M, to_m=TIP_M, radius_m=0.005
    )
    rig = Rig(plate, tool=(point,), tcp_speed_mps=3.0)

    verdict = rig.go(BASE_TURN, 2.9, 400)
    rig.rest()

    assert verdict.reason is HoldReason.KEEP_OUT_ZONE
    passed = (compute_tcp(rig.q) - ahead) @ side / np.linalg.norm(side)
    assert passed <= -0.005


def test_out_of_a_zone_is_the_only_way_that_is_granted() -> None:
    floor = plane(HOME_TCP[2] + 0.05)

    assert Rig(floor).ask(HOME_Q).reason is HoldReason.NONE
    deeper = Rig(floor).go(SHOULDER_LIFT, 0.1, 5)
    assert deeper.reason is HoldReason.KEEP_OUT_ZONE
    sideways = Rig(floor)
    assert sideways.go(BASE_TURN, 0.1, 5).reason is HoldReason.KEEP_OUT_ZONE
    assert not sideways.qd.any()
    still = Rig(floor)
    assert [still.ask(HOME_Q).reason for _ in range(3)] == [HoldReason.NONE] * 3
    out = Rig(floor)
    assert out.go(-SHOULDER_LIFT, 0.1, 300).reason is HoldReason.NONE
    assert measure_samples(out.q, TIP, floor) > measure_samples(HOME_Q, TIP, floor)


def test_what_cannot_move_keeps_nobody_in_its_zone() -> None:
    # The shoulder stands in it for good; only the base turns it, about itself.
    floor = plane(0.2, keeps_out=("part",))
    rig = Rig(floor)
    shoulder = rig.guard._around
    rig.guard._around = shoulder._replace(against_zone=np.array([[1, 0]]))

    assert rig.go(SHOULDER_LIFT, 0.1, 5).reason is HoldReason.NONE
    rig.rest()
    assert rig.go(BASE_TURN, 0.1, 5).reason is HoldReason.KEEP_OUT_ZONE


def test_a_zone_is_only_for_the_groups_that_it_names() -> None:
    # Not for the arm: its shoulder is lower than that, and could not get out.
    floor = plane(HOME_TCP[2] - 0.05, keeps_out=("tool", "part"))

    assert Rig(floor).go(SHOULDER_LIFT, 0.3, 150).reason is HoldReason.NONE


def test_a_cylinder_is_kept_out_of() -> None:
    post = CylinderZone(
        name="post",
        kind="cylinder",
        keeps_out=("fingers",),
        centre_m=(float(HOME_TCP[0]), float(HOME_TCP[1]), float(HOME_TCP[2]) - 0.3),
        radius_m=0.04,
        half_height_m=0.2,
    )
    rig = Rig(post)

    verdict = rig.go(SHOULDER_LIFT, 0.3, 3000)
    rig.rest()

    assert verdict.reason is HoldReason.KEEP_OUT_ZONE
    assert compute_tcp(rig.q)[2] >= HOME_TCP[2] - 0.1 + 0.03 - 0.02
    assert verdict.value < 0.03


def test_links_are_kept_out_as_well() -> None:
    rig = Rig(plane(0.02, keeps_out=("arm",)))

    verdict = rig.go(SHOULDER_LIFT, 0.5, 4000)

    assert verdict.reason is HoldReason.KEEP_OUT_ZONE
    assert "wrist" in rig.guard.describe(verdict)


def test_the_arm_does_not_fold_into_itself() -> None:
    rig = Rig(joint_max_rad=(6.2, 1.0, 3.1, 6.2, 6.2, 6.2))

    verdict = rig.go(np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), 0.5, 4000)

    assert verdict.reason is HoldReason.SELF_COLLISION
    assert " and " in rig.guard.describe(verdict)
    assert "zone" not in rig.guard.describe(verdict)


def test_an_approach_is_slowed_down_and_a_departure_is_not() -> None:
    rig = Rig(plane(HOME_TCP[2] - 0.06), slow_distance_m=0.05)
    scales = []
    for _ in range(400):
        verdict = rig.go(SHOULDER_LIFT, 0.05, 1)
        if verdict.reason is not HoldReason.NONE:
            break
        scales.append(verdict.scale)
    rig.rest()

    assert scales[0] > 0.5
    assert min(scales) < 0.5
    assert scales == sorted(scales, reverse=True)
    assert rig.go(-SHOULDER_LIFT, 0.05, 3).scale == 1.0


def test_a_part_in_the_fingers_is_kept_out_once_it_is_there() -> None:
    floor = plane(HOME_TCP[2] - 0.05, keeps_out=("part",))

    empty = Rig(floor)
    assert empty.go(SHOULDER_LIFT, 0.1, 20).reason is HoldReason.NONE
    held = Rig(floor)
    held.guard.attach(0.02, 0.028)
    assert held.go(SHOULDER_LIFT, 0.1, 20).reason is HoldReason.KEEP_OUT_ZONE
    held.rest()
    held.guard.attach(0.0, 0.0)
    assert held.go(SHOULDER_LIFT, 0.1, 20).reason is HoldReason.NONE


@pytest.mark.parametrize(
    "size", [(np.nan, 0.0), (0.02, np.nan), (-0.01, 0.0), (0.2, 0.0), (0.01, 0.3)]
)
def test_a_part_of_no_known_size_counts_as_the_largest(size: Any) -> None:
    floor = plane(HOME_TCP[2] - 0.25, keeps_out=("part",))
    rig = Rig(floor)

    rig.guard.attach(*size)

    assert rig.go(SHOULDER_LIFT, 0.1, 20).reason is HoldReason.KEEP_OUT_ZONE


def test_no_adversary_gets_the_tool_into_a_zone() -> None:
    rng = np.random.default_rng(2)
    table = plane(0.05)
    block = box((-0.2, 0.48, 0.1), (0.1, 0.1, 0.1), name="bin")
    config = SAFETY.model_copy(update={"tool": (TIP,), "zones": (table, block)})
    guard = EnvelopeGuard.from_config(config, TOOL, PERIOD_S)
    reasons: set[HoldReason] = set()
    for _ in range(20):
        path, met = attack(guard, rng, 200)
        reasons.update(met)
        assert find_breaches(path) == []
        for zone in (table, block):
            clearances = [measure_samples(q, TIP, zone) for q in path]
            least = min(0.0, clearances[0])
            assert min(clearances) >= least - 1e-6
    assert HoldReason.KEEP_OUT_ZONE in reasons


def test_the_place_over_the_bin_is_clear_in_the_shipped_cell() -> None:
    # A pose that the shipped cell takes in every pick.
    rig = Rig(plane(0.0, keeps_out=("arm",)), q=OVER_BIN_Q)

    assert rig.ask(OVER_BIN_Q).scale == 1.0


def test_a_tool_capsule_may_not_be_called_like_a_link() -> None:
    config = SAFETY.model_copy(
        update={"tool": (TIP.model_copy(update={"name": "forearm"}),)}
    )

    with pytest.raises(ConfigError, match="'forearm' is the name of a link"):
        make_surroundings(config, TOOL)


def test_a_zone_that_is_no_number_is_refused() -> None:
    broken = plane(0.0).model_copy(update={"point_m": (0.0, 0.0, float("nan"))})

    with pytest.raises(ConfigError, match=r"safety\.zones.*not finite"):
        make_surroundings(SAFETY.model_copy(update={"zones": (broken,)}), TOOL)


@pytest.mark.parametrize(
    "field", ["ends", "radius", "reach", "zone_size", "zone_from_base", "zone_margin"]
)
def test_surroundings_that_are_no_numbers_grant_no_motion(field: str) -> None:
    rig = Rig(plane(-0.2), box((0.5, 0.5, 0.5), (0.1, 0.1, 0.1)))
    getattr(rig.guard._around, field)[:] = np.nan

    assert rig.go(SHOULDER_LIFT, 0.1, 3).reason is not HoldReason.NONE
