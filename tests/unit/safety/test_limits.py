"""Limits can be tightened and nothing else."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from safety import ceilings
from safety.config import SafetyConfig
from safety.limits import make_limits
from tests.fakes.motion_oracle import PERIOD_S, SAFETY

TOOL = Pose.from_rotvec([0.0, 0.0, 0.15], [0.0, 0.0, 0.0])


def unchecked(**changes: object) -> SafetyConfig:
    """Return a section that went past pydantic, as a slip in code could make it."""
    return SAFETY.model_copy(update=changes)


def test_limits_are_packed_as_they_are() -> None:
    limits = make_limits(SAFETY, TOOL, PERIOD_S)[0]

    assert limits["period_s"] == PERIOD_S
    assert limits["command_age_ns"] == 100_000_000
    assert limits["arm_age_ns"] == 50_000_000
    assert tuple(limits["joint_max_rad"]) == SAFETY.joint_max_rad
    assert limits["flange_from_tcp"][2, 3] == pytest.approx(0.15)


def test_a_shorter_freshness_tightens_the_arm_as_well() -> None:
    limits = make_limits(unchecked(freshness_s=0.03), TOOL, PERIOD_S)[0]

    assert limits["arm_age_ns"] == 30_000_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("joint_max_rad", (7.0, 0.0, 2.9, 6.2, 6.2, 6.2)),
        ("joint_min_rad", (-7.0, -3.0, -2.9, -6.2, -6.2, -6.2)),
        ("joint_speed_radps", (ceilings.JOINT_SPEED_RADPS * 1.01,) * 6),
        ("joint_acceleration_radps2", (41.0,) * 6),
        ("joint_jerk_radps3", (20_001.0,) * 6),
        ("tcp_force_n", 251.0),
        ("tcp_torque_nm", float("nan")),
        ("tcp_speed_mps", 3.01),
        ("tcp_speed_mps", float("nan")),
        ("tcp_speed_mps", -1.0),
        ("workspace_min_m", (-1.0, 0.1, 0.0)),
        ("workspace_max_m", (0.5, 0.8, 1.2)),
        ("freshness_s", 0.11),
        ("freshness_s", float("inf")),
    ],
)
def test_a_looser_limit_is_refused_and_its_key_named(key: Any, value: Any) -> None:
    with pytest.raises(ConfigError, match=key):
        make_limits(unchecked(**{key: value}), TOOL, PERIOD_S)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("joint_min_rad", SAFETY.joint_max_rad),
        ("workspace_min_m", (0.6, 0.15, 0.012)),
    ],
)
def test_inverted_limits_are_refused(key: Any, value: Any) -> None:
    with pytest.raises(ConfigError, match=key):
        make_limits(unchecked(**{key: value}), TOOL, PERIOD_S)


def test_the_configuration_itself_refuses_inverted_limits() -> None:
    inverted = SAFETY.model_dump() | {"workspace_min_m": (0.6, 0.15, 0.012)}

    with pytest.raises(ValidationError, match=r"workspace_min_m\[0\]"):
        SafetyConfig(**inverted)


@pytest.mark.parametrize("period_s", [0.0, 0.0005, 0.1, float("nan")])
def test_a_period_outside_of_what_the_guard_was_made_for_is_refused(
    period_s: Any,
) -> None:
    with pytest.raises(ConfigError, match="period_s"):
        make_limits(SAFETY, TOOL, period_s)


def test_a_tool_that_is_no_transform_is_refused() -> None:
    tool = Pose(np.array([0.0, np.nan, 0.1]), np.array([1.0, 0.0, 0.0, 0.0]))

    with pytest.raises(ConfigError, match="flange_from_tcp"):
        make_limits(SAFETY, tool, PERIOD_S)
