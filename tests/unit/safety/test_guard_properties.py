"""What the guard grants, judged by code that shares nothing with it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from safety.guard import EnvelopeGuard
from tests.fakes.adversary import attack
from tests.fakes.motion_oracle import (
    HOME_Q,
    PERIOD_S,
    SAFETY,
    TOOL_Z_M,
    find_breaches,
)

NO_FORCE = np.zeros(6)
TOOL = Pose(np.array([0.0, 0.0, TOOL_Z_M]), np.array([1.0, 0.0, 0.0, 0.0]))
IS_INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
SCALE = 0.05 if IS_INTERPRETED else 1.0


def make_guard() -> EnvelopeGuard:
    return EnvelopeGuard.from_config(SAFETY, TOOL, PERIOD_S)


@pytest.mark.parametrize("seed", range(5))
def test_no_adversary_gets_a_setpoint_beyond_a_limit(seed: Any) -> None:
    rng = np.random.default_rng(seed)
    guard = make_guard()

    for _ in range(max(1, int(12 * SCALE))):
        path, _ = attack(guard, rng, 300)
        assert find_breaches(path) == []


def test_the_adversary_meets_every_limit_of_motion() -> None:
    rng = np.random.default_rng(7)
    guard = make_guard()
    met: set[HoldReason] = set()
    for _ in range(max(3, int(40 * SCALE))):
        met.update(attack(guard, rng, 300)[1])

    wanted = {HoldReason.NONE}
    if not IS_INTERPRETED:
        wanted |= {
            HoldReason.COMMAND_NOT_FINITE,
            HoldReason.COMMAND_STALE,
            HoldReason.TCP_SPEED,
            HoldReason.JOINT_POSITION,
            HoldReason.JOINT_ACCELERATION,
            HoldReason.WORKSPACE,
        }
    assert wanted <= met


any_number = st.floats(allow_nan=True, allow_infinity=True, width=64)
any_stamp = st.one_of(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.integers(min_value=0, max_value=3 * 10**9),
)


@settings(max_examples=20 if IS_INTERPRETED else 150)
@given(
    st.lists(
        st.tuples(
            arrays.arrays(np.float64, 6, elements=any_number),
            any_stamp,
            any_stamp,
            any_stamp,
            st.floats(0.0, 1.0),
        ),
        max_size=20,
    )
)
def test_arbitrary_numbers_and_stamps_never_raise_nor_leave_a_limit(calls: Any) -> None:
    guard = make_guard()
    guard.reset(HOME_Q)
    path = [HOME_Q]
    for request, command_ns, arm_ns, now_ns, share in calls:
        # Blended with the present position, so that some are nearly reasonable.
        asked = path[-1] + share**8 * np.nan_to_num(request, nan=np.nan)
        path.append(guard.vet(asked, command_ns, arm_ns, now_ns, NO_FORCE).q)

    assert find_breaches(np.array(path)) == []


def test_a_refused_request_is_never_what_comes_back() -> None:
    rng = np.random.default_rng(3)
    guard = make_guard()
    guard.reset(HOME_Q)
    now_ns = 10**9
    for _ in range(int(400 * SCALE) + 20):
        now_ns += 2_000_000
        request = HOME_Q + rng.normal(0.0, 0.5, 6)
        verdict = guard.vet(request, now_ns, now_ns, now_ns, NO_FORCE)
        assert verdict.reason is not HoldReason.NONE
        assert (verdict.q == HOME_Q).all()


def _trace(seed: int) -> np.ndarray:
    path, reasons = attack(make_guard(), np.random.default_rng(seed), 120)
    return np.column_stack([path[1:], np.array(reasons, dtype=float)])


@pytest.mark.skipif(IS_INTERPRETED, reason="compares with the compiled guard")
def test_the_guard_is_the_same_without_its_compiler(
    tmp_path: Path, repository: Path
) -> None:
    code = (
        "import numpy as np;"
        "from tests.unit.safety.test_guard_properties import _trace;"
        f"np.save({str(tmp_path / 'plain.npy')!r}, _trace(11))"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=repository, env=environment, check=True
    )

    plain = np.load(tmp_path / "plain.npy")

    assert (plain[:, 6] == _trace(11)[:, 6]).all()
    assert np.max(np.abs(plain - _trace(11))) < 1e-12
