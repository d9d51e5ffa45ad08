"""Short storms of injections and a bad policy, on one cell with all its wires open."""

import random
from pathlib import Path

import pytest

from ops.settings import load_settings
from sim2real.faults.evidence import LogReader
from sim2real.faults.policy_wire import HostileWorker
from sim2real.faults.stand import Stand, open_stand
from sim2real.faults.stand_config import Wire
from tests.running_cell import ROOT
from tests.stress.bad_policies import POLICIES
from tests.stress.bad_policy import Round, watch
from tests.stress.force_tap import ForceTap
from tests.stress.injection_kinds import (
    Inject,
    Pushes,
    lose_line,
    pause_supervisor,
)
from tests.stress.injection_stand import resume, wait_until
from tests.stress.injections import (
    NOISY_MS,
    NOISY_STALE_MS,
    Storm,
    find_misses,
    run_injections,
    summarise,
)

pytestmark = pytest.mark.alone

COUNT = 2
BAD_S = 12.0
SHIPPED: Path = ROOT / "config.yaml"


@pytest.mark.timeout(300)
def test_short_storms_and_a_bad_policy_end_at_rest_and_in_order() -> None:
    with open_stand(SHIPPED, frozenset({Wire.LINE, Wire.ROBOT})) as stand:
        pushes = Pushes()
        for kind, inject, bars_ms in (
            ("slow-down", pushes, NOISY_MS),
            ("stale", pause_supervisor, NOISY_STALE_MS),
            ("plc", lose_line, NOISY_MS),
        ):
            storm = take(stand, kind, inject)
            assert not find_misses(storm.records, bars_ms), summarise(storm)["misses"]
            assert not storm.violations
        push_until_it_lets_go(stand, pushes.tap)
        found = let_adversary_work(stand)

    assert found.proposals >= 1
    assert not found.violations
    assert found.unguarded_cycles == 0


def take(stand: Stand, kind: str, inject: Inject) -> Storm:
    storm = Storm(kind, 0)
    run_injections(storm, stand, inject, COUNT, random.Random(0))
    return storm


def push_until_it_lets_go(stand: Stand, tap: ForceTap) -> None:
    """Report a large force from a grasp on until it is given up.

    While the fingers close nothing moves, so that the force is there before the lift.
    """
    resume(stand)
    failed = stand.status()["failed"]
    log = LogReader(stand.files.logs)
    assert wait_until(lambda: stand.status()["phase"] == "grasping", 60.0)
    tap.push((0.0, 0.0, -400.0), 20.0)
    assert wait_until(lambda: has_let_go(log), 10.0)
    tap.push((0.0, 0.0, 0.0), 0.0)
    assert wait_until(lambda: stand.status()["failed"] > failed, 30.0)
    status = stand.status()
    assert status["state"] == "EXECUTE", status["state_reason"]
    assert any("too much force" in event for event in status["events"])


def has_let_go(log: LogReader) -> bool:
    """Say whether the supervisor recorded it; its phases tell of other misses too."""
    seen = {(line.source, line.event) for line in log.read()}
    return ("supervisor", "let_go") in seen


def let_adversary_work(stand: Stand) -> Round:
    found, worker = Round("adversarial"), HostileWorker()
    policy = POLICIES["adversarial"](load_settings(SHIPPED), random.Random(0))
    try:
        worker.take_over(stand)
        resume(stand)
        worker.spoil = policy
        for _ in range(4):
            watch(stand, found, policy, BAD_S)
            if policy.proposals:
                break
    finally:
        worker.leave()
    return found
