from dataclasses import replace

import numpy as np
import pytest

from sim2real.virtual_cell.monitor import Monitor, MonitorSample, ViolationKind
from tests.fakes.cell_scene import shipped_settings

LIMITS = shipped_settings().safety
TICK_NS = 2_000_000


def calm(tick: int) -> MonitorSample:
    """A sample that keeps every limit."""
    return MonitorSample(
        tick=tick,
        q=np.array([-2.3, -1.6, 1.6, -1.6, -1.57, -0.7]),
        qd=np.zeros(6),
        q_target=np.array([-2.3, -1.6, 1.6, -1.6, -1.57, -0.7]),
        target_stamp_ns=tick * TICK_NS,
        tcp_position_m=np.array([0.0, 0.45, 0.3]),
        tcp_speed_mps=0.0,
        fixture_force_n=0.0,
        fixture="",
        self_force_n=0.0,
    )


def one_joint(joint: int, value: float) -> np.ndarray:
    vector = np.zeros(6)
    vector[joint] = value
    return vector


PROVOCATIONS = {
    ViolationKind.JOINT_POSITION: replace(
        calm(0), q=np.array([-2.3, 0.02, 1.6, -1.6, -1.57, -0.7])
    ),
    ViolationKind.JOINT_SPEED: replace(calm(0), qd=one_joint(3, -3.2)),
    ViolationKind.TCP_SPEED: replace(calm(0), tcp_speed_mps=1.6),
    ViolationKind.WORKSPACE: replace(
        calm(0), tcp_position_m=np.array([0.0, 0.45, 0.011])
    ),
    ViolationKind.FIXTURE_COLLISION: replace(
        calm(0), fixture_force_n=80.0, fixture="bin_floor"
    ),
    ViolationKind.BODY_COLLISION: replace(
        calm(0), body_force_n=1.5, body="wrist_3_link on bin_wall_px"
    ),
    ViolationKind.SELF_COLLISION: replace(calm(0), self_force_n=9.0),
}


@pytest.mark.parametrize("kind", sorted(PROVOCATIONS))
def test_each_provoked_violation_is_counted_under_its_own_kind(
    kind: ViolationKind,
) -> None:
    monitor = Monitor(LIMITS)
    for tick in range(5):
        assert monitor.check(calm(tick)) == []

    found = monitor.check(replace(PROVOCATIONS[kind], tick=5, target_stamp_ns=10**7))

    assert [violation.kind for violation in found] == [kind]
    assert found[0].tick == 5
    assert monitor.count == 1
    assert monitor.counts[kind] == 1
    assert monitor.last == found[0]


def test_the_largest_forces_on_fixtures_are_remembered_with_their_places() -> None:
    monitor = Monitor(LIMITS)

    for tick, force_n in enumerate((10.0, 30.0, 20.0)):
        monitor.check(
            replace(calm(tick), fixture_force_n=force_n, fixture=f"wall_{tick}")
        )
    # The filter still remembers a touch that is over, but no longer where it was.
    monitor.check(replace(calm(3), fixture_force_n=40.0, body_force_n=0.5))

    assert monitor.peaks == {"fixture": (30.0, "wall_1")}


def test_a_speed_jump_counts_as_acceleration() -> None:
    monitor = Monitor(LIMITS)
    for tick in range(20):
        monitor.check(calm(tick))

    found = []
    for tick in range(20, 40):
        found += monitor.check(replace(calm(tick), qd=one_joint(1, 2.5)))

    assert [violation.kind for violation in found] == [ViolationKind.JOINT_ACCELERATION]


def test_targets_that_run_faster_than_a_joint_may_are_counted() -> None:
    monitor = Monitor(LIMITS)

    found = []
    for tick in range(60):
        target = calm(0).q + one_joint(2, 4.0 * tick * 0.002)
        found += monitor.check(replace(calm(tick), q_target=target))

    assert {violation.kind for violation in found} == {ViolationKind.JOINT_SPEED_TARGET}
    assert found[0].value == pytest.approx(4.0, rel=0.01)


def test_a_controller_that_was_away_starts_anew() -> None:
    monitor = Monitor(LIMITS)
    monitor.check(calm(0))
    moved = calm(0).q + one_joint(0, 2.0)

    found = monitor.check(replace(calm(200), q_target=moved, target_stamp_ns=10**9))

    assert found == []


def test_full_speed_within_every_limit_is_no_violation() -> None:
    monitor = Monitor(LIMITS)

    for tick in range(500):
        angle = 3.0 * tick * 0.002
        sample = replace(
            calm(tick),
            q=one_joint(5, angle - 1.0) + calm(0).q,
            qd=np.full(6, 3.0),
            q_target=calm(0).q + one_joint(5, angle),
            tcp_speed_mps=1.5,
            fixture_force_n=20.0,
            self_force_n=0.5,
            tcp_position_m=np.array(LIMITS.workspace_min_m),
        )
        assert monitor.check(sample) == []


def test_a_violation_that_lasts_or_flickers_counts_once_and_again_after_a_pause() -> (
    None
):
    monitor = Monitor(LIMITS)
    hit = PROVOCATIONS[ViolationKind.FIXTURE_COLLISION]

    for tick in range(100):
        monitor.check(replace(hit if tick % 3 else calm(tick), tick=tick))
    assert monitor.count == 1

    for tick in range(100, 200):
        monitor.check(calm(tick))
    monitor.check(replace(hit, tick=200))
    assert monitor.count == 2


def test_without_a_controller_only_what_is_measured_is_judged() -> None:
    monitor = Monitor(LIMITS)

    for tick in range(100):
        assert monitor.check(replace(calm(tick), q_target=None)) == []


NAN = float("nan")


@pytest.mark.parametrize(
    "broken",
    [
        replace(calm(5), q=one_joint(2, NAN)),
        replace(calm(5), qd=one_joint(0, np.inf)),
        replace(calm(5), q_target=one_joint(5, NAN)),
        replace(calm(5), tcp_position_m=np.array([0.0, NAN, 0.3])),
        replace(calm(5), tcp_speed_mps=NAN),
        replace(calm(5), fixture_force_n=NAN),
        replace(calm(5), self_force_n=np.inf),
    ],
    ids=["q", "qd", "target", "tcp", "tcp speed", "fixture", "self"],
)
def test_what_is_no_number_is_a_violation_and_spoils_no_later_tick(
    broken: MonitorSample,
) -> None:
    monitor = Monitor(LIMITS)
    for tick in range(5):
        monitor.check(calm(tick))

    found = monitor.check(broken)

    assert [violation.kind for violation in found] == [ViolationKind.NOT_FINITE]
    for tick in range(6, 100):
        assert monitor.check(calm(tick)) == []
    assert monitor.count == 1
