"""What a session does for the rows that end in a latch."""

from pathlib import Path

import numpy as np
import pytest

from ops.settings import Settings, load_settings
from sim2real.faults.rows import Rung
from sim2real.faults.servo_rig import (
    ServoRig,
    break_guard,
    order_target,
    stand_still,
)


@pytest.fixture(scope="module")
def settings(repository: Path) -> Settings:
    return load_settings(repository / "config.yaml")


def test_an_order_is_carried_out(settings: Settings) -> None:
    rig = ServoRig(settings)
    rig.order(rig.home + np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0]))

    assert rig.run_until(lambda: rig.state.reached_id == 2)
    assert not rig.has_latched()


def test_a_guard_that_raises_ends_the_program_and_latches(settings: Settings) -> None:
    seen = break_guard(settings)

    assert seen.missed == ""
    assert seen.rung is Rung.LATCH


def test_a_session_that_stood_still_for_long_does_too(settings: Settings) -> None:
    assert stand_still(settings, 0.25).rung is Rung.LATCH
    assert stand_still(settings, 0.002).missed


def test_a_target_beyond_all_limits_is_refused(settings: Settings) -> None:
    home = np.array(settings.arm.home_q_rad)

    assert order_target(settings, np.degrees(home)).rung is Rung.STOP
    assert order_target(settings, home).missed
