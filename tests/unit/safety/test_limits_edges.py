"""Every ceiling at its edge, and every number that is packed for the kernel."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from safety import ceilings
from safety.config import SafetyConfig
from safety.limits import LIMITS, make_limits
from tests.fakes.motion_oracle import PERIOD_S, SAFETY

TOOL = Pose.from_rotvec([0.03, -0.04, 0.12], [0.0, 0.0, 0.5])

CEILINGS = {
    "joint_min_rad": (-2 * math.pi, 2 * math.pi, 6),
    "joint_max_rad": (-2 * math.pi, 2 * math.pi, 6),
    "joint_speed_radps": (0.0, math.pi, 6),
    "joint_acceleration_radps2": (0.0, 40.0, 6),
    "joint_jerk_radps3": (0.0, 20_000.0, 6),
    "tcp_speed_mps": (0.0, 3.0, 1),
    "tcp_force_n": (0.0, 250.0, 1),
    "tcp_torque_nm": (0.0, 50.0, 1),
    "workspace_min_m": (-0.95, 0.95, 3),
    "workspace_max_m": (-0.95, 0.95, 3),
    "freshness_s": (0.0, 0.1, 1),
}
POSITIVE = {"joint_speed_radps", "joint_acceleration_radps2", "tcp_speed_mps"}
POSITIVE |= {"freshness_s", "joint_jerk_radps3", "tcp_force_n", "tcp_torque_nm"}


def changed(**changes: object) -> SafetyConfig:
    return SAFETY.model_copy(update=changes)


def vary(key: str, index: int, value: float) -> Any:
    size = CEILINGS[key][2]
    if size == 1:
        return value
    values = list(getattr(SAFETY, key))
    values[index] = value
    return tuple(values)


def make_room(key: str) -> dict[str, object]:
    """Open the other side of a range, so that only one bound is in question."""
    if key.endswith("min_rad"):
        return {"joint_max_rad": (2 * math.pi,) * 6}
    if key.endswith("max_rad"):
        return {"joint_min_rad": (-2 * math.pi,) * 6}
    if key == "workspace_min_m":
        return {"workspace_max_m": (0.95,) * 3}
    return {"workspace_min_m": (-0.95,) * 3} if key == "workspace_max_m" else {}


PLACES = [(key, i) for key, (_, _, size) in CEILINGS.items() for i in range(size)]


def test_the_ceilings_are_those_that_were_signed_off() -> None:
    assert math.degrees(ceilings.JOINT_POSITION_RAD) == 360.0
    assert math.degrees(ceilings.JOINT_SPEED_RADPS) == 180.0
    assert ceilings.JOINT_ACCELERATION_RADPS2 == 40.0
    assert ceilings.TCP_SPEED_MPS == 3.0
    assert ceilings.JOINT_JERK_RADPS3 == 20_000.0
    assert (ceilings.TCP_FORCE_N, ceilings.TCP_TORQUE_NM) == (250.0, 50.0)
    assert (ceilings.ZONE_RANGE_M, ceilings.TOOL_RANGE_M) == (5.0, 0.6)
    assert (ceilings.ZONE_COUNT, ceilings.TOOL_CAPSULE_COUNT) == (24, 8)
    assert ceilings.REACH_M == 0.95
    assert ceilings.FRESHNESS_S == 0.1


@pytest.mark.parametrize(("key", "index"), PLACES)
def test_a_limit_may_be_at_its_ceiling_and_not_beyond(key: Any, index: Any) -> None:
    low, high, _ = CEILINGS[key]
    for edge, beyond in ((low, -math.inf), (high, math.inf)):
        value = vary(key, index, math.nextafter(edge, beyond))
        with pytest.raises(ConfigError, match=f"safety.{key} is "):
            make_limits(changed(**make_room(key) | {key: value}), TOOL, PERIOD_S)
    is_upper = key not in ("joint_min_rad", "workspace_min_m")
    value = vary(key, index, high if is_upper else low)
    make_limits(changed(**make_room(key) | {key: value}), TOOL, PERIOD_S)


@pytest.mark.parametrize(("key", "index"), PLACES)
def test_the_configuration_has_the_same_ceilings(key: Any, index: Any) -> None:
    low, high, _ = CEILINGS[key]
    whole = SAFETY.model_dump()

    for edge, beyond in ((low, -math.inf), (high, math.inf)):
        value = vary(key, index, math.nextafter(edge, beyond))
        with pytest.raises(ValidationError, match=key):
            SafetyConfig(**whole | make_room(key) | {key: value})
    is_upper = key not in ("joint_min_rad", "workspace_min_m")
    value = vary(key, index, high if is_upper else low)
    SafetyConfig(**whole | make_room(key) | {key: value})


@pytest.mark.parametrize(("key", "index"), PLACES)
def test_zero_is_no_limit_of_speed_and_a_fine_coordinate(key: Any, index: Any) -> None:
    whole = SAFETY.model_dump() | make_room(key) | {key: vary(key, index, 0.0)}

    if key in POSITIVE:
        with pytest.raises(ValidationError, match=key):
            SafetyConfig(**whole)
    else:
        SafetyConfig(**whole)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [("joint_min_rad", "joint_max_rad"), ("workspace_min_m", "workspace_max_m")],
)
def test_a_range_has_some_room_everywhere(lower: Any, upper: Any) -> None:
    bounds = getattr(SAFETY, upper)
    for index, bound in enumerate(bounds):
        equal = changed(**{lower: vary(lower, index, bound)})
        below = changed(**{lower: vary(lower, index, math.nextafter(bound, -9.0))})

        with pytest.raises(ConfigError, match=f"{lower} must lie below safety.{upper}"):
            make_limits(equal, TOOL, PERIOD_S)
        with pytest.raises(ValidationError, match=rf"{lower}\[{index}\] is {bound}"):
            SafetyConfig(**equal.model_dump())
        make_limits(below, TOOL, PERIOD_S)
        SafetyConfig(**below.model_dump())


def test_the_first_value_out_of_range_is_named() -> None:
    speeds = (1.0, 4.5, 5.5, 1.0, 1.0, 1.0)

    with pytest.raises(ConfigError) as caught:
        make_limits(changed(joint_speed_radps=speeds), TOOL, PERIOD_S)

    wanted = "safety.joint_speed_radps is 4.5: the guard takes 0 to 3.14159"
    assert str(caught.value) == wanted


def test_every_field_is_packed() -> None:
    config = changed(freshness_s=0.08)

    limits = make_limits(config, TOOL, 0.004)

    assert limits.shape == (1,)
    assert limits.dtype == LIMITS
    one = limits[0]
    for key in CEILINGS:
        if key != "freshness_s":
            assert np.array_equal(one[key], getattr(config, key)), key
    assert one["period_s"] == 0.004
    assert one["command_age_ns"] == 80_000_000
    assert one["arm_age_ns"] == 50_000_000
    assert one["overrun_ns"] == 12_000_000
    assert one["standstill_ns"] == 50_000_000
    assert one["singular_value"] == 0.08
    assert np.array_equal(one["flange_from_tcp"], TOOL.as_matrix()[:3])
    assert one["reach_m"] == pytest.approx(0.95 + 0.13, rel=1e-12)


def test_slow_loops_have_longer_to_come_to_a_standstill() -> None:
    limits = make_limits(SAFETY, TOOL, 0.02)[0]

    assert limits["overrun_ns"] == 60_000_000
    assert limits["standstill_ns"] == 60_000_000


@pytest.mark.parametrize("period_s", [0.001, 0.02])
def test_a_period_may_be_at_its_edge_and_not_beyond(period_s: Any) -> None:
    beyond = math.nextafter(period_s, 0.0 if period_s < 0.01 else 1.0)

    assert make_limits(SAFETY, TOOL, period_s)[0]["period_s"] == period_s
    with pytest.raises(ConfigError, match=r"period_s is .* takes 0.001 to 0.02"):
        make_limits(SAFETY, TOOL, beyond)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_tool_may_reach_a_metre_and_not_further(axis: Any, sign: Any) -> None:
    place = [0.0, 0.0, 0.0]
    place[axis] = sign
    make_limits(SAFETY, Pose.from_rotvec(place, [0, 0, 0]), PERIOD_S)
    place[axis] = sign * 1.0001

    with pytest.raises(ConfigError, match=r"arm\.flange_from_tcp"):
        make_limits(SAFETY, Pose.from_rotvec(place, [0, 0, 0]), PERIOD_S)


@pytest.mark.parametrize("key", [key for key, (_, _, n) in CEILINGS.items() if n > 1])
def test_a_list_of_the_wrong_length_is_refused(key: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        SafetyConfig(**SAFETY.model_dump() | {key: getattr(SAFETY, key)[:-1]})


@pytest.mark.parametrize(("key", "index"), PLACES)
def test_a_limit_may_be_as_small_as_one_likes(key: Any, index: Any) -> None:
    if key in POSITIVE:
        value = vary(key, index, 1e-6)

        make_limits(changed(**{key: value}), TOOL, PERIOD_S)
        SafetyConfig(**SAFETY.model_dump() | {key: value})


def test_a_distance_to_slow_down_at_has_its_bounds() -> None:
    whole = SAFETY.model_dump()

    for value in (math.nextafter(0.0, 1.0), 0.2):
        made = SafetyConfig(**whole | {"slow_distance_m": value})
        assert made.slow_distance_m == value
    for value in (0.0, math.nextafter(0.2, 1.0)):
        with pytest.raises(ValidationError, match="slow_distance_m"):
            SafetyConfig(**whole | {"slow_distance_m": value})
