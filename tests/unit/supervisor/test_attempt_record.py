"""What is measured of one attempt, from samples as the supervisor gets them."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from cell.contracts.observation import ActionChunk
from cell.supervisor.attempt_record import AttemptPhase, AttemptRecord
from tests.fakes.policy import make_chunk

FREE_N = np.array([1.0, -2.0, -3.0, 0.0, 0.0, 0.0])


def make_scored(score: float, **details: float) -> ActionChunk:
    chunk = make_chunk()
    return ActionChunk(
        chunk.observed_stamp_ns, chunk.steps, score, chunk.model, details=details
    )


def note(
    record: AttemptRecord,
    phase: AttemptPhase,
    apertures_m: list[float],
    *forces_n: tuple[float, float, float],
) -> None:
    """Note samples; forces are added to those of the free tool, the last one lasts."""
    for number, aperture_m in enumerate(apertures_m):
        force = FREE_N.copy()
        if forces_n:
            force[:3] += forces_n[min(number, len(forces_n) - 1)]
        record.note(phase, force, aperture_m)


def make_record(*others: ActionChunk) -> AttemptRecord:
    record = AttemptRecord(3, make_scored(0.8, width_m=0.04, tip_m=0.01), others)
    note(record, AttemptPhase.APPROACH, [0.085] * 10)
    return record


def test_a_part_that_is_held_firmly_shows_its_weight_and_no_slip() -> None:
    record = make_record()
    note(record, AttemptPhase.CLOSING, [0.06, 0.042], (0.0, 0.0, 0.0), (3.0, 4.0, 9.0))
    note(record, AttemptPhase.LIFT, [0.042] * 20, (0.0, 0.0, -5.0))
    note(record, AttemptPhase.TRANSFER, [0.042] * 20, (0.0, 0.0, -5.0))

    features = record.finish(77)

    assert (features.attempt, features.stamp_ns) == (3, 77)
    assert features.grip_m == 0.042
    assert features.width_m == 0.04
    assert features.grasp_height_m == 0.01
    assert features.closing_force_n == pytest.approx(5.0)
    assert features.weight_n == pytest.approx(5.0)
    assert features.weight_change_n == pytest.approx(0.0)
    assert features.lift_slip_m == features.transfer_slip_m == 0.0
    assert features.vibration_n == pytest.approx(0.0)
    assert features.approach_force_n == pytest.approx(0.0)


def test_fingers_that_close_further_on_the_way_are_slip() -> None:
    record = make_record()
    note(record, AttemptPhase.CLOSING, [0.042])
    note(record, AttemptPhase.LIFT, [0.042, 0.040, 0.041])
    note(record, AttemptPhase.TRANSFER, [0.041, 0.038])

    features = record.finish(1)

    assert features.lift_slip_m == pytest.approx(0.002)
    assert features.transfer_slip_m == pytest.approx(0.003)


def test_fingers_that_open_on_the_way_are_no_slip() -> None:
    record = make_record()
    note(record, AttemptPhase.CLOSING, [0.042])
    note(record, AttemptPhase.LIFT, [0.044])

    assert record.finish(1).lift_slip_m == 0.0


def test_a_part_that_falls_in_the_transfer_takes_its_weight_along() -> None:
    record = make_record()
    note(record, AttemptPhase.CLOSING, [0.042])
    note(record, AttemptPhase.LIFT, [0.042] * 20, (0.0, 0.0, -5.0))
    note(
        record,
        AttemptPhase.TRANSFER,
        [0.042] * 20,
        *[(0.0, 0.0, -5.0)] * 10,
        (0.0, 0.0, 0.0),
    )

    features = record.finish(1)

    assert features.weight_change_n == pytest.approx(-5.0)
    assert features.vibration_n == pytest.approx(2.5)


def test_a_finger_that_stands_on_something_shows_on_the_way_down() -> None:
    record = AttemptRecord(1, make_scored(0.8))
    free, hit = (0.0, 0.0, 0.0), (0.0, 3.0, 4.0)
    note(record, AttemptPhase.APPROACH, [0.085] * 8, *[free] * 6, hit, free)

    assert record.finish(1).approach_force_n == pytest.approx(5.0)


def test_what_an_attempt_never_came_to_is_zero() -> None:
    features = asdict(AttemptRecord(1, make_scored(0.8)).finish(5))

    kept = {"attempt", "stamp_ns", "score", "aperture_m"}
    assert {name for name, value in features.items() if value} == kept


def test_alternatives_are_those_that_the_policy_believes_in_less() -> None:
    features = make_record(make_scored(0.4), make_scored(0.9), make_scored(0.6)).finish(
        1
    )

    shares = np.array([0.8, 0.6, 0.4]) / 1.8
    assert features.alternatives == 2.0
    assert features.runner_up_ratio == pytest.approx(0.75)
    assert features.score_entropy_nat == pytest.approx(-(shares * np.log(shares)).sum())


def test_a_proposal_without_alternatives_is_certain() -> None:
    features = make_record().finish(1)

    assert features.alternatives == 0.0
    assert features.runner_up_ratio == 0.0
    assert features.score_entropy_nat == 0.0


def test_a_policy_that_believes_in_nothing_has_no_entropy() -> None:
    features = AttemptRecord(1, make_scored(0.0), [make_scored(0.0)]).finish(1)

    assert features.score_entropy_nat == 0.0
    assert features.runner_up_ratio == 0.0


def test_a_force_that_is_no_number_stays_one_that_can_be_seen() -> None:
    record = make_record()
    record.note(AttemptPhase.CLOSING, np.full(6, np.nan), 0.04)

    assert math.isnan(record.finish(1).closing_force_n)
