from sim2real.virtual_cell.world_pace import CATCH_UP_TICKS, TICK_NS, Pace


def test_a_tick_is_due_every_two_milliseconds() -> None:
    pace = Pace(start_ns=1000)

    assert pace.count_due(1000) == 1
    pace.ticks += 1
    assert pace.count_due(1000 + TICK_NS - 1) == 0
    assert pace.count_due(1000 + TICK_NS) == 1


def test_a_short_delay_is_caught_up_without_loss() -> None:
    pace = Pace(start_ns=0)

    assert pace.count_due(10 * TICK_NS) == 11
    pace.ticks += 11

    assert pace.compute_real_time_factor(10 * TICK_NS) == 1.0
    assert pace.due_ns == 11 * TICK_NS


def test_what_cannot_be_caught_up_is_counted_as_lost_time() -> None:
    pace = Pace(start_ns=0)

    due = pace.count_due(1000 * TICK_NS)
    pace.ticks += due

    assert due == CATCH_UP_TICKS
    lost = 1001 - CATCH_UP_TICKS
    assert pace.lost_ns == lost * TICK_NS
    assert pace.compute_real_time_factor(1000 * TICK_NS) == 1 - lost / 1000
    assert pace.count_due(1000 * TICK_NS) == 0


def test_the_factor_is_one_before_any_time_has_passed() -> None:
    assert Pace(start_ns=5).compute_real_time_factor(5) == 1.0
