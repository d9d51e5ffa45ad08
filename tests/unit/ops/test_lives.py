"""Figures of a run cover every life of the processes that counted them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cell.contracts.servo import HoldReason, ServoState
from cell.mailbox.servo_link import ServoLink
from cell.mailbox.text import TextMailbox
from ops.lives import ServoLives, WorldLives
from ops.telemetry import STATUS_CAPACITY, TelemetryReader
from tests.fakes.servo import RESTING_SERVO


def make_state(cycle: int, **counts: Any) -> ServoState:
    holds = np.zeros(len(HoldReason))
    holds[HoldReason.WORKSPACE] = counts.pop("refused", 0)
    holds[HoldReason.BRAKE_ORDERED] = counts.pop("ordered", 0)
    return replace(RESTING_SERVO, cycle=cycle, hold_counts=holds, **counts)


def test_counts_of_a_servo_process_that_died_are_kept() -> None:
    lives = ServoLives()
    first = make_state(
        900,
        unguarded_cycles=1,
        armed_cycles=700,
        late_cycles=4,
        refused=2,
        guard_p999_us=80.0,
    )
    second = make_state(
        100,
        armed_cycles=60,
        late_cycles=1,
        refused=1,
        ordered=3,
        guard_p999_us=20.0,
    )
    for state in (make_state(10), first, first, make_state(5), second):
        lives.follow(state)

    totals = lives.compute_totals()

    assert (totals.cycles, totals.unguarded_cycles) == (1000, 1)
    assert (totals.armed_cycles, totals.late_cycles) == (760, 5)
    assert totals.holds == {"WORKSPACE": 3}
    assert totals.ordered_holds == {"BRAKE_ORDERED": 3}
    assert totals.guard_p999_us == 80.0


def test_violations_seen_by_a_world_that_died_are_kept() -> None:
    lives = WorldLives()
    lives.follow({})
    lives.follow(
        {
            "ticks": 500,
            "limit_violations": 2,
            "violations_by_kind": {"workspace": 2},
            "parts_lost": 1,
            "unsolved_ticks": 3,
        }
    )
    lives.follow(
        {"ticks": 20, "limit_violations": 1, "violations_by_kind": {"tcp_speed": 1}}
    )

    totals = lives.compute_totals()

    assert totals["limit_violations"] == 3
    assert totals["parts_lost"] == 1
    assert totals["unsolved_ticks"] == 3
    assert totals["violations_by_kind"] == {"workspace": 2, "tcp_speed": 1}
    assert totals["ticks"] == 20


def test_without_a_world_there_are_no_figures_of_it() -> None:
    assert WorldLives().compute_totals() == {}


def test_the_reader_adds_up_across_a_restart(tmp_path: Path) -> None:
    servo, world = (
        ServoLink.open(tmp_path),
        TextMailbox(tmp_path / "vc_report", STATUS_CAPACITY),
    )
    reader = TelemetryReader(tmp_path)
    servo.write_state(make_state(1000, armed_cycles=800, late_cycles=10))
    world.write('{"ticks": 9, "limit_violations": 1}')
    reader.read()
    servo.write_state(make_state(1000, armed_cycles=800, refused=1))
    servo.write_state(make_state(500, armed_cycles=200, refused=1))
    world.write('{"ticks": 1, "limit_violations": 0}')

    telemetry = reader.read()
    servo.close()
    world.close()

    assert telemetry.servo["late_cycles_ratio"] == 10 / 1000
    assert telemetry.servo["holds_by_reason"] == {"WORKSPACE": 1}
    assert telemetry.world["limit_violations"] == 1
