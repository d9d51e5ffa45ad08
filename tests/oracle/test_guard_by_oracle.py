"""What the guard grants, judged by MuJoCo."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from ops.settings import load_settings
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, SAFETY, TOOL_Z_M, compute_tcp
from tests.oracle.slow_oracle import SlowOracle
from tests.stress.adversary_guard import PERIOD_S, make_guard, make_opponent, vet
from tests.stress.adversary_zones import draw_part, draw_surroundings

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
PERIOD_NS = 2_000_000
NO_FORCE = np.zeros(6)
SHIPPED = make_opponent(SAFETY, TOOL)
ORACLE = SlowOracle(SHIPPED.plain, SHIPPED.bodies)

share = st.floats(-1.0, 1.0)
stretches = st.lists(
    st.tuples(
        st.lists(share, min_size=6, max_size=6),
        st.sampled_from([0.3, 0.9999, 1.0, 1.0001, 3.0]),
        st.integers(1, 80),
        st.floats(0.0, 6.0, exclude_min=True),
    ),
    min_size=1,
    max_size=6,
)


def drive(
    guard: Any, start: Any, motion: Any, wrench: Any = NO_FORCE
) -> tuple[Any, list[HoldReason]]:
    """Push in each direction for some cycles, up to some speed, under one reading."""
    guard.reset(start)
    now_ns = 10**9
    q, qd = start, np.zeros(6)
    path, reasons = [start], []
    for direction, strength, cycles, top in motion:
        for _ in range(cycles):
            now_ns += PERIOD_NS
            push = 25.0 * strength * PERIOD_S * np.array(direction)
            request = q + np.clip(qd + push, -top, top) * PERIOD_S
            verdict = vet(guard, request, wrench, now_ns, now_ns, now_ns)
            qd, q = (verdict.q - q) / PERIOD_S, verdict.q
            path.append(q)
            reasons.append(verdict.reason)
    return np.array(path), reasons


@settings(max_examples=40)
@given(stretches, st.sampled_from([HOME_Q, OVER_BIN_Q]))
def test_no_sequence_of_requests_leads_outside_of_a_limit(
    motion: Any, start: Any
) -> None:
    path, reasons = drive(make_guard(SHIPPED), start, motion)

    holds = np.array(reasons) != HoldReason.NONE
    assert ORACLE.find_breaches(path, holds=holds) == []


# --- with zones, a tool and a part ---------------------------------------------------

CELL = load_settings(Path(__file__).parents[2] / "config.yaml")
CELL_TOOL = CELL.arm.flange_from_tcp.pose()
PARTS = ((0.0, 0.0), (0.02, 0.03), (0.05, 0.1))
SHIPPED_CELLS = [make_opponent(CELL.safety, CELL_TOOL, part) for part in PARTS]
SHIPPED_ORACLES = [SlowOracle(cell.plain, cell.bodies) for cell in SHIPPED_CELLS]


@settings(max_examples=25)
@given(
    stretches,
    st.sampled_from([HOME_Q, OVER_BIN_Q]),
    st.integers(0, len(PARTS) - 1),
    st.sampled_from([0.0, 0.9, 1.1, 3.0]),
)
def test_no_sequence_leads_into_a_zone_of_the_shipped_cell(
    motion: Any, start: Any, number: Any, load: Any
) -> None:
    wrench = np.array([0.0, 0.0, load * CELL.safety.tcp_force_n, 0.0, 0.0, 0.0])

    path, reasons = drive(make_guard(SHIPPED_CELLS[number]), start, motion, wrench)

    holds = np.array(reasons) != HoldReason.NONE
    wrenches = np.tile(wrench, (len(path) - 1, 1))
    found = SHIPPED_ORACLES[number].find_breaches(path, holds=holds, wrenches=wrenches)
    assert found == []


def draw_cell(number: int) -> Any:
    rng = np.random.default_rng(number)
    changes = draw_surroundings(rng, number, compute_tcp(HOME_Q))
    config = SAFETY.model_copy(update=changes)
    return make_opponent(config, TOOL, draw_part(rng, number))


# Kinds of surroundings by their number, with parts and without.
DRAWN = (1, 2, 3, 5, 7, 11, 15)


@pytest.mark.parametrize("number", DRAWN)
def test_no_sequence_leads_into_a_zone_that_is_drawn(number: Any) -> None:
    cell = draw_cell(number)
    oracle, guard = SlowOracle(cell.plain, cell.bodies), make_guard(cell)
    rng = np.random.default_rng(number)
    met: set[HoldReason] = set()
    for _ in range(6):
        motion = [
            (rng.uniform(-1.0, 1.0, 6) * (rng.random(6) < 0.6), 0.9, 60, 1.5)
            for _ in range(4)
        ]
        path, reasons = drive(guard, HOME_Q, motion)
        met |= set(reasons)

        holds = np.array(reasons) != HoldReason.NONE
        assert oracle.find_breaches(path, holds=holds) == []
    # Otherwise nothing of all this came near a zone.
    assert HoldReason.KEEP_OUT_ZONE in met


@settings(max_examples=20)
@given(stretches, st.lists(share, min_size=6, max_size=6))
def test_an_arm_that_starts_outside_goes_no_further(motion: Any, shift: Any) -> None:
    tcp = compute_tcp(HOME_Q)
    outside = SAFETY.model_copy(
        update={
            "workspace_max_m": tuple(tcp - 0.02),
            "joint_max_rad": tuple(HOME_Q + 0.02 * np.array(shift)),
        }
    )
    opponent = make_opponent(outside, TOOL)

    path, reasons = drive(make_guard(opponent), HOME_Q, motion)

    holds = np.array(reasons) != HoldReason.NONE
    oracle = SlowOracle(opponent.plain, opponent.bodies)
    assert oracle.find_breaches(path, holds=holds) == []


@pytest.mark.parametrize("axis", range(3))
def test_an_arm_outside_that_is_told_to_go_on_stays_where_it_is(axis: Any) -> None:
    tcp = compute_tcp(HOME_Q)
    corner = np.array(SAFETY.workspace_max_m)
    corner[axis] = tcp[axis] - 0.02
    outside = SAFETY.model_copy(update={"workspace_max_m": tuple(corner)})
    guard = make_guard(make_opponent(outside, TOOL))
    away = find_way(axis)

    path, reasons = drive(guard, HOME_Q, [(away, 0.9, 50, 1.0)])
    _, inward = drive(guard, HOME_Q, [(-away, 0.9, 50, 1.0)])

    assert set(reasons) == {HoldReason.WORKSPACE}
    assert (path == HOME_Q).all()
    assert inward[:10] == [HoldReason.NONE] * 10


def find_way(axis: int) -> Any:
    """Joint motion that moves the tool along one base axis, largest element 1."""
    columns = []
    for joint in range(6):
        aside = HOME_Q.copy()
        aside[joint] += 1e-6
        columns.append((compute_tcp(aside) - compute_tcp(HOME_Q)) / 1e-6)
    way = np.linalg.pinv(np.array(columns).T)[:, axis]
    return way / np.abs(way).max()
