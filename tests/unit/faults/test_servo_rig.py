"""What a session does for the rows that end in a latch."""

from pathlib import Path

import numpy as np
import pytest

from ops.settings import Settings, load_settings
from safety.ramp import ramp
from sim2real.faults.broken_stages import STAGES, Stage, break_stage
from sim2real.faults.guard_checks import foreign_clock
from sim2real.faults.rows import Rung
from sim2real.faults.servo_rig import (
    ServoRig,
    break_guard,
    come_late,
    order_by_another_clock,
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
    assert "fault" in seen.events


def test_a_session_that_stood_still_for_long_does_too(settings: Settings) -> None:
    assert stand_still(settings, 0.25).rung is Rung.LATCH
    assert stand_still(settings, 0.002).missed


def test_a_target_beyond_all_limits_is_refused(settings: Settings) -> None:
    home = np.array(settings.arm.home_q_rad)

    refused = order_target(settings, np.degrees(home))

    assert (refused.rung, refused.table_rung) == (Rung.HOLD, Rung.STOP)
    assert refused.events == ("refused",)
    assert order_target(settings, home).missed


def test_holds_for_want_of_time_are_recorded(settings: Settings) -> None:
    late = come_late(settings, 0.01)
    stale = order_by_another_clock(settings, -10.0)

    assert (late.rung, late.events) == (Rung.HOLD, ("held",))
    assert (stale.rung, stale.events) == (Rung.HOLD, ("held",))
    assert come_late(settings, 0.002).missed
    assert order_by_another_clock(settings, 0.0).missed


def test_stamps_of_another_clock_are_refused(settings: Settings) -> None:
    seen = foreign_clock(settings, True)

    assert seen.missed == ()
    assert seen.events == ("held",)
    assert foreign_clock(settings, False).missed


@pytest.mark.parametrize("stage", [s for s in STAGES if s.is_in_motion], ids=str)
def test_a_stage_that_raises_once_in_motion_latches(
    settings: Settings, stage: Stage
) -> None:
    seen = break_guard(settings, lambda: break_stage(stage))

    assert (seen.missed, seen.rung) == ("", Rung.LATCH)


def test_a_stage_that_nobody_reached_was_not_broken() -> None:
    with pytest.raises(LookupError, match="was not reached"), break_stage(STAGES[-1]):
        pass

    assert STAGES[-1].module.ramp is ramp
