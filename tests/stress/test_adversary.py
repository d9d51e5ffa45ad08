"""The adversary of the guard: a short attack in every run, and that it would notice."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from safety.limits import make_limits
from tests.fakes.motion_oracle import HOME_Q
from tests.stress import adversary, adversary_guard
from tests.stress.adversary import (
    STARTS,
    Episode,
    Findings,
    check_slowly,
    check_swiftly,
    draw_sample,
    run,
)
from tests.stress.adversary_requests import KINDS

# Whichever test comes first waits for the compiler.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def findings() -> Findings:
    return run(200_000, seed=1, slowly=5_000)


@pytest.fixture(scope="module")
def first_episode() -> Episode:
    """Return one that no test may change; drawing its limits takes a second."""
    return next(adversary.run_episodes(1, 3, Findings()))


def test_no_request_of_a_short_attack_gets_beyond_a_limit(findings: Findings) -> None:
    assert findings.faults == 0, findings.examples
    assert findings.requests == 200_000
    assert findings.slowly_checked == 5_000


def test_the_attack_asks_for_everything_and_meets_every_limit(
    findings: Findings,
) -> None:
    assert (findings.kinds > 100).all(), dict(zip(KINDS, findings.kinds, strict=True))
    wanted = {
        HoldReason.NONE,
        HoldReason.COMMAND_NOT_FINITE,
        HoldReason.COMMAND_STALE,
        HoldReason.ARM_STATE_STALE,
        HoldReason.CYCLE_OVERRUN,
        HoldReason.JOINT_POSITION,
        HoldReason.JOINT_SPEED,
        HoldReason.JOINT_ACCELERATION,
        HoldReason.TCP_SPEED,
        HoldReason.WORKSPACE,
        HoldReason.SINGULAR,
        HoldReason.JOINT_JERK,
        HoldReason.KEEP_OUT_ZONE,
        HoldReason.SELF_COLLISION,
        HoldReason.TCP_FORCE,
    }
    assert {reason.name for reason in wanted} <= set(findings.reasons)


def test_mujoco_judges_every_kind_of_start_and_of_request(findings: Findings) -> None:
    assert set(findings.slow_starts) == set(findings.starts) == set(STARTS)
    asked = dict(zip(KINDS, findings.slow_kinds, strict=True))
    assert (findings.slow_kinds > 5).all(), asked


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_is_as_large_as_asked_and_knows_no_kinds(seed: Any) -> None:
    sample = draw_sample(10_000_000, 100_000, seed)

    assert len(sample) == 400
    assert max(sample) < 40_000
    # Kinds of starts repeat every ten episodes.
    shares = np.bincount([number % 10 for number in sample], minlength=10) / 400
    assert (np.abs(shares - 0.1) < 0.06).all()
    assert draw_sample(10_000_000, 100_000, seed) == sample
    assert draw_sample(10_000_000, 100_000, seed + 1) != sample


def test_a_sample_larger_than_the_attack_is_all_of_it() -> None:
    assert draw_sample(600, 10_000, 0) == {0, 1, 2}
    assert draw_sample(600, 0, 0) == frozenset()


def test_the_same_seed_gives_the_same_attack(findings: Findings) -> None:
    again = run(2_000, seed=1, slowly=1)
    more = run(2_000, seed=1, slowly=1)

    assert again.reasons == more.reasons


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("spoil", [np.nan, 1e-3, 7.0])
def test_an_answer_that_was_tampered_with_is_noticed_by_both(
    first_episode: Episode, joint: Any, spoil: Any
) -> None:
    episode = replace(first_episode, record=deepcopy(first_episode.record))
    episode.record.path[100, joint] += spoil
    swift, slow = Findings(), Findings()

    check_swiftly(episode, swift)
    check_slowly(episode, slow)

    assert swift.breaches.any()
    assert slow.slow_breaches
    assert slow.differences == 1


def test_a_guard_that_raises_is_counted(monkeypatch: Any) -> None:
    def attack(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(adversary, "attack", attack)
    findings = run(1, seed=0, slowly=1)

    assert findings.exceptions == findings.faults == 1


def test_the_command_ends_with_one_when_there_are_faults(
    monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(adversary, "run", lambda *_, **__: Findings(exceptions=1))

    assert adversary.main(["--requests", "10"]) == 1
    assert "1 faults" in capsys.readouterr().out


def test_attacks_begin_near_where_the_arm_works(first_episode: Episode) -> None:
    assert np.abs(first_episode.record.path[0] - HOME_Q).max() < 0.2


def widen(name: str, change: Any) -> Any:
    """Return a packing of limits with a slip of the pen in it."""

    def make(*facts: Any) -> Any:
        limits = make_limits(*facts)
        limits[name] = change(limits[name])
        return limits

    return make


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("joint_max_rad", lambda was: was + 0.01),
        ("joint_min_rad", lambda was: was - 0.01),
        ("joint_speed_radps", lambda was: was * 1.01),
        ("joint_acceleration_radps2", lambda was: was * 1.01),
        ("joint_jerk_radps3", lambda was: was * 1.1),
        ("tcp_speed_mps", lambda was: was * 1.1),
        ("workspace_max_m", lambda was: was + 0.01),
        ("workspace_min_m", lambda was: was - 0.01),
        ("singular_value", lambda was: was - 0.01),
        ("tcp_force_n", lambda was: was * 1.5),
        ("tcp_torque_nm", lambda was: was * 1.5),
        ("command_age_ns", lambda was: was + 1),
        ("arm_age_ns", lambda was: was + 1),
    ],
)
def test_a_slip_where_the_guard_packs_its_limits_is_noticed(
    monkeypatch: Any, name: Any, change: Any
) -> None:
    monkeypatch.setattr(adversary_guard, "make_limits", widen(name, change))

    # Ends with the first of ten attacks that notices.
    assert any(run(15_000, seed, slowly=0).faults for seed in range(10))
