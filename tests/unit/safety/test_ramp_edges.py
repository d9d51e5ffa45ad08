"""Rest, and each step of the ramp that leads there, at the edges."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from safety.ramp import compute_stopping_time, is_at_rest, ramp
from safety.verdicts import STATE
from tests.fakes.envelope_cases import MOVING, MS, NOW_NS, limits, one, state
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S


@pytest.mark.parametrize("joint", range(6))
def test_one_moving_joint_is_motion(joint: Any) -> None:
    for speed in (1e-300, -1e-300, 1.0):
        qd = np.zeros(6)
        qd[joint] = speed
        assert not is_at_rest(state(qd=qd)[0])


def test_rest_is_no_joint_moving_and_not_a_balance_of_both_ways() -> None:
    assert is_at_rest(state()[0])
    # Two velocities that add up to nothing, whichever two.
    for joint, other in combinations(range(6), 2):
        qd = np.zeros(6)
        qd[joint], qd[other] = 1.0, -1.0
        assert not is_at_rest(state(qd=qd)[0])


def test_the_slowest_to_stop_decides_how_long_it_takes() -> None:
    lim = limits(joint_acceleration_radps2=[10.0, 20.0, 25.0, 25.0, 25.0, 5.0])
    qd = np.array([1.0, -4.0, 0.0, 0.0, 0.0, 0.5])

    assert compute_stopping_time(qd, lim[0]) == 0.2
    assert compute_stopping_time(np.array([0, 0, 0, 0, 0, -2.0]), lim[0]) == 0.4
    assert compute_stopping_time(np.zeros(6), lim[0]) == 0.0


def ramp_from(qd: Any, vetted_ns: int, now_ns: int) -> Any:
    after = np.full(1, 7, STATE)
    ramp(state(qd=qd, vetted_ns=vetted_ns)[0], now_ns, limits()[0], after[0])
    assert after[0]["vetted_ns"] == now_ns
    return after[0]


def test_one_step_of_the_ramp_takes_off_what_one_period_can() -> None:
    now = ramp_from(MOVING, NOW_NS - 2 * MS, NOW_NS)

    assert now["qd"][0] == pytest.approx(0.45, rel=1e-12)
    assert now["q"][0] == pytest.approx(HOME_Q[0] + 0.45 * PERIOD_S, rel=1e-14)
    assert not now["qd"][1:].any()
    assert (now["q"][1:] == HOME_Q[1:]).all()


@pytest.mark.parametrize("speed", [0.05, 0.03, -0.05, 0.0])
def test_the_last_step_of_the_ramp_is_rest(speed: Any) -> None:
    now = ramp_from(np.array([0.0, speed, 0, 0, 0, 0]), NOW_NS - 2 * MS, NOW_NS)

    assert not now["qd"].any()
    assert (now["q"] == HOME_Q).all()


@pytest.mark.parametrize(
    ("vetted_ns", "now_ns", "goes_on"),
    [
        (NOW_NS - 50 * MS, NOW_NS, True),
        (NOW_NS - 50 * MS - 1, NOW_NS, False),
        (1, 1 + 50 * MS, True),
        (1, 2 + 50 * MS, False),
        (0, NOW_NS, True),
        (-5, NOW_NS, True),
    ],
)
def test_after_a_standstill_the_ramp_is_over(
    vetted_ns: Any, now_ns: Any, goes_on: Any
) -> None:
    now = ramp_from(MOVING, vetted_ns, now_ns)

    assert bool(now["qd"].any()) is goes_on
    if not goes_on:
        assert (now["q"] == HOME_Q).all()


def test_just_the_time_that_one_step_takes_is_the_last_step_of_a_ramp() -> None:
    after = np.full(1, 7, STATE)
    was = state(qd=one(3, 2.0**-4), vetted_ns=NOW_NS - 2 * MS)
    lim = limits(2.0**-8, joint_acceleration_radps2=np.full(6, 16.0))

    ramp(was[0], NOW_NS, lim[0], after[0])

    assert not after[0]["qd"].any()
    assert not after[0]["qdd"].any()
    assert (after[0]["q"] == HOME_Q).all()
    assert (after[0]["scale"], after[0]["sigma"]) == (1.0, 0.0)


@pytest.mark.parametrize(("now_ns", "noted"), [(0, 5), (-7, 5), (1, 1)])
def test_a_ramp_notes_only_what_is_a_time(now_ns: Any, noted: Any) -> None:
    after = np.full(1, 7, STATE)

    ramp(state(vetted_ns=5)[0], now_ns, limits()[0], after[0])

    assert after[0]["vetted_ns"] == noted


def test_the_last_but_one_step_of_a_ramp_has_a_deceleration() -> None:
    speed = 25.0 * PERIOD_S * 1.05
    now = ramp_from(one(2, speed), NOW_NS - 2 * MS, NOW_NS)

    assert now["qd"][2] == pytest.approx(speed * (1.0 - 1.0 / 1.05))
    assert now["qdd"][2] == pytest.approx(-25.0)
