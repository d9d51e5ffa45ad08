"""The adversary of the guard: a short attack in every run, and that it would notice."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from tests.fakes.motion_oracle import HOME_Q
from tests.stress import adversary
from tests.stress.adversary import Findings, check_slowly, check_swiftly, run
from tests.stress.adversary_requests import KINDS

pytestmark = pytest.mark.stress


@pytest.fixture(scope="module")
def findings() -> Findings:
    return run(200_000, seed=1, slowly=5_000)


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


def test_the_same_seed_gives_the_same_attack(findings: Findings) -> None:
    again = run(2_000, seed=1, slowly=1)
    more = run(2_000, seed=1, slowly=1)

    assert again.reasons == more.reasons


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("spoil", [np.nan, 1e-3, 7.0])
def test_an_answer_that_was_tampered_with_is_noticed_by_both(
    joint: Any, spoil: Any
) -> None:
    episode = next(adversary.run_episodes(1, 3, Findings()))
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


def test_attacks_begin_near_where_the_arm_works() -> None:
    episode = next(adversary.run_episodes(1, 0, Findings()))

    assert np.abs(episode.record.path[0] - HOME_Q).max() < 0.2
