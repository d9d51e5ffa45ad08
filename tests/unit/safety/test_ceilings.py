"""No configuration widens a ceiling, whatever is written in it, and however much."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from safety import ceilings
from safety.capsules import make_surroundings
from safety.config import SafetyConfig
from safety.limits import make_limits
from tests.fakes.motion_oracle import SAFETY

TOOL = Pose.from_rotvec([0.0, 0.0, 0.15], [0.0, 0.0, 0.0])
ROUNDING = 1e-12

# Key, how many numbers, lowest and highest that may be accepted.
LIMITS = (
    ("joint_min_rad", 6, -ceilings.JOINT_POSITION_RAD, ceilings.JOINT_POSITION_RAD),
    ("joint_max_rad", 6, -ceilings.JOINT_POSITION_RAD, ceilings.JOINT_POSITION_RAD),
    ("joint_speed_radps", 6, 0.0, ceilings.JOINT_SPEED_RADPS),
    ("joint_acceleration_radps2", 6, 0.0, ceilings.JOINT_ACCELERATION_RADPS2),
    ("joint_jerk_radps3", 6, 0.0, ceilings.JOINT_JERK_RADPS3),
    ("workspace_min_m", 3, -ceilings.REACH_M, ceilings.REACH_M),
    ("workspace_max_m", 3, -ceilings.REACH_M, ceilings.REACH_M),
    ("tcp_speed_mps", 1, 0.0, ceilings.TCP_SPEED_MPS),
    ("tcp_force_n", 1, 0.0, ceilings.TCP_FORCE_N),
    ("tcp_torque_nm", 1, 0.0, ceilings.TCP_TORQUE_NM),
    ("freshness_s", 1, 0.0, ceilings.FRESHNESS_S),
)


def draw_numbers(rng: np.random.Generator, count: int, low: float, high: float) -> Any:
    """Draw numbers in a range, often just its upper end."""
    numbers = rng.uniform(low + 0.01 * (high - low), high, count)
    numbers[rng.random(count) < 0.2] = high
    values: list[float] = numbers.tolist()
    return values[0] if count == 1 else values


def draw_place(rng: np.random.Generator, reach_m: float) -> list[float]:
    signs = rng.choice([-1.0, 1.0], 3)
    return [s * draw_numbers(rng, 1, 0.0, reach_m) for s in signs.tolist()]


def draw_zone(rng: np.random.Generator, number: int) -> dict[str, Any]:
    zone: dict[str, Any] = {"name": f"zone_{number}", "keeps_out": ["arm", "tool"]}
    if number % 3 == 0:
        return zone | {
            "kind": "half_space",
            "point_m": draw_place(rng, ceilings.ZONE_RANGE_M),
            "normal": [0.0, 0.0, 1.0],
        }
    zone["centre_m"] = draw_place(rng, ceilings.ZONE_RANGE_M)
    zone["margin_m"] = float(rng.uniform(0.0, 0.2))
    extent = draw_numbers(rng, 3, 0.0, ceilings.ZONE_RANGE_M)
    if number % 3 == 1:
        return zone | {"kind": "box", "half_m": extent}
    return zone | {
        "kind": "cylinder",
        "radius_m": extent[0],
        "half_height_m": extent[1],
    }


def draw_capsule(rng: np.random.Generator, number: int) -> dict[str, Any]:
    return {
        "name": f"held_{number}",
        "group": ("tool", "fingers")[number % 2],
        "from_m": draw_place(rng, ceilings.TOOL_RANGE_M),
        "to_m": draw_place(rng, ceilings.TOOL_RANGE_M),
        "radius_m": max(draw_numbers(rng, 1, 0.0, ceilings.TOOL_RANGE_M), 0.005),
    }


def draw_tree(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a whole section, most often an acceptable one."""
    tree = {
        key: draw_numbers(rng, count, low, high) for key, count, low, high in LIMITS
    }
    for lower, upper in (
        ("joint_min_rad", "joint_max_rad"),
        ("workspace_min_m", "workspace_max_m"),
    ):
        pairs = np.sort([tree[lower], tree[upper]], axis=0)
        # Equal ends are refused, which is not what this is about.
        pairs[0][pairs[0] == pairs[1]] *= 0.5
        tree[lower], tree[upper] = pairs.tolist()
    zones = int(rng.choice([0, 1, 2, 3, ceilings.ZONE_COUNT]))
    held = int(rng.integers(0, ceilings.TOOL_CAPSULE_COUNT + 1))
    tree["zones"] = [draw_zone(rng, number) for number in range(zones)]
    tree["tool"] = [draw_capsule(rng, number) for number in range(held)]
    tree["slow_distance_m"] = float(rng.uniform(0.001, 0.2))
    return tree


def widen(rng: np.random.Generator, tree: dict[str, Any], key: str) -> None:
    """Write more into one key than its ceiling permits: by a trace, or by far."""
    factor = float(rng.choice([1.0 + 2.0**-52, 1.01, 50.0]))
    if key == "zones":
        zone = draw_zone(rng, 1) | {"name": "wide"}
        zone["half_m"][int(rng.integers(3))] = factor * ceilings.ZONE_RANGE_M
        many = [draw_zone(rng, number) for number in range(ceilings.ZONE_COUNT + 1)]
        tree["zones"] = [*tree["zones"][1:], zone] if rng.random() < 0.7 else many
    elif key == "tool":
        capsule = draw_capsule(rng, 1) | {"name": "wide"}
        capsule["to_m"][int(rng.integers(3))] = -factor * ceilings.TOOL_RANGE_M
        many = [draw_capsule(rng, n) for n in range(ceilings.TOOL_CAPSULE_COUNT + 1)]
        tree["tool"] = [*tree["tool"][1:], capsule] if rng.random() < 0.7 else many
    else:
        _, count, low, high = next(limit for limit in LIMITS if limit[0] == key)
        value = factor * (low if key.endswith(("min_rad", "min_m")) else high)
        if count == 1:
            tree[key] = value
        else:
            tree[key][int(rng.integers(count))] = value


def test_whatever_is_accepted_the_kernel_gets_nothing_wider_than_a_ceiling() -> None:
    keys = [*(key for key, *_ in LIMITS), "zones", "tool"]
    for seed in range(20 * len(keys)):
        rng = np.random.default_rng(seed)
        tree = draw_tree(rng)
        config = SafetyConfig.model_validate(tree)
        check_limits(config)
        # Which capsules can meet is worked out in plain numpy, and takes longer.
        if seed % 20 == 0:
            check_surroundings(config)

        wide = set(rng.choice(keys, rng.integers(1, 3)).tolist())
        for key in wide:
            widen(rng, tree, key)
        with pytest.raises(ValidationError) as refusal:
            SafetyConfig.model_validate(tree)
        assert {found["loc"][0] for found in refusal.value.errors()} == wide


def check_limits(config: SafetyConfig) -> None:
    """Assert that no limit of the kernel is wider than its ceiling."""
    limits = make_limits(config, TOOL, 0.002)[0]
    for key, _, low, high in LIMITS:
        if key == "freshness_s":
            continue
        assert (limits[key] >= low).all(), key
        assert (limits[key] <= high).all(), key
        assert np.array_equal(limits[key], np.array(getattr(config, key))), key
    oldest_ns = ceilings.FRESHNESS_S * 1e9
    assert 0 < limits["arm_age_ns"] <= limits["command_age_ns"] <= oldest_ns
    for key in ("joint_speed_radps", "joint_acceleration_radps2", "joint_jerk_radps3"):
        assert (limits[key] > 0.0).all(), key
    assert (limits["joint_min_rad"] < limits["joint_max_rad"]).all()
    assert (limits["workspace_min_m"] < limits["workspace_max_m"]).all()


def check_surroundings(config: SafetyConfig) -> None:
    """Assert the same of zones and tool."""
    around, names = make_surroundings(config, TOOL)
    assert len(around.zone_kind) == len(config.zones) <= ceilings.ZONE_COUNT
    held = [names.capsules.index(capsule.name) for capsule in config.tool]
    assert len(held) <= ceilings.TOOL_CAPSULE_COUNT
    assert (np.abs(around.ends[held]) <= ceilings.TOOL_RANGE_M).all()
    assert (around.radius[held] <= ceilings.TOOL_RANGE_M).all()
    assert (around.zone_size <= ceilings.ZONE_RANGE_M).all()
    turn, shift = around.zone_from_base[:, :, :3], around.zone_from_base[:, :, 3]
    places = -np.einsum("nji,nj->ni", turn, shift)
    assert (np.abs(places) <= ceilings.ZONE_RANGE_M + ROUNDING).all()


@pytest.mark.parametrize(("key", "count", "low", "high"), LIMITS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_trace_beyond_a_ceiling_is_refused_with_the_name_of_the_key(
    key: str, count: int, low: float, high: float, sign: float
) -> None:
    end = high if sign > 0.0 else low
    value = math.nextafter(end, sign * math.inf)
    whole = value if count == 1 else [*np.ravel(getattr(SAFETY, key))[1:], value]
    # Around the validation as well: the guard trusts nobody's section.
    smuggled = SAFETY.model_copy(update={key: whole})

    with pytest.raises(ValidationError) as refusal:
        SafetyConfig.model_validate(SAFETY.model_dump() | {key: whole})
    with pytest.raises(ConfigError, match=rf"safety\.{key} is"):
        make_limits(smuggled, TOOL, 0.002)

    assert {found["loc"][0] for found in refusal.value.errors()} == {key}


@pytest.mark.parametrize(("key", "count", "low", "high"), LIMITS)
def test_what_is_no_number_is_refused_with_the_name_of_the_key(
    key: str, count: int, low: float, high: float
) -> None:
    whole = math.nan if count == 1 else [math.nan] * count

    with pytest.raises(ValidationError, match=key):
        SafetyConfig.model_validate(SAFETY.model_dump() | {key: whole})
    with pytest.raises(ConfigError, match=rf"safety\.{key} is nan"):
        make_limits(SAFETY.model_copy(update={key: whole}), TOOL, 0.002)
