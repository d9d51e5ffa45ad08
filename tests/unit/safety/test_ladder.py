"""What the reaction ladder does about a cause, and who may end it."""

import pytest

from cell.contracts.ladder import (
    Budget,
    CauseRule,
    LadderRules,
    LadderState,
    Rung,
    Trace,
)
from safety.ladder import Ladder

S = 1_000_000_000
QUIET_NS = 1 * S
FLAPPING = Budget(3, 10 * S)
RETURNS = Budget(2, 600 * S)
RULES = LadderRules(
    {
        "note": CauseRule(Rung.LOG, Rung.LOG),
        "slow": CauseRule(Rung.DEGRADE, Rung.DEGRADE),
        "wait": CauseRule(Rung.HOLD, Rung.HOLD, quiet_ns=QUIET_NS),
        "blink": CauseRule(Rung.HOLD, Rung.HOLD, QUIET_NS, FLAPPING),
        "mixed": CauseRule(Rung.HOLD, Rung.DEGRADE, QUIET_NS, FLAPPING),
        "stop": CauseRule(Rung.STOP, Rung.STOP),
        "link": CauseRule(Rung.LATCH, Rung.STOP, is_mended_by_release=True),
        "latch": CauseRule(Rung.LATCH, Rung.LATCH),
        "end": CauseRule(Rung.TERMINATE, Rung.TERMINATE),
    }
)
RUNG_OF = {
    "note": Rung.LOG,
    "slow": Rung.DEGRADE,
    "wait": Rung.HOLD,
    "stop": Rung.STOP,
    "latch": Rung.LATCH,
    "end": Rung.TERMINATE,
}


class Rig:
    """A ladder, its state and its time."""

    def __init__(self, *, returns: Budget | None = None) -> None:
        self.ladder = Ladder(LadderRules(RULES.causes, returns))
        self.state = LadderState()
        self.now_ns = 100 * S

    def look(
        self,
        *struck: str,
        present: tuple[str, ...] = (),
        is_moving: bool = False,
        after_ns: int = 0,
    ) -> LadderState:
        self.now_ns += after_ns
        self.state = self.ladder.observe(
            self.state,
            frozenset(struck),
            frozenset(present),
            self.now_ns,
            is_moving=is_moving,
        )
        return self.state

    def resume(self) -> bool:
        before = self.state
        self.state = self.ladder.resume(before, self.now_ns)
        return self.state is not before

    def release(self, by: str = "plc") -> bool:
        before = self.state
        self.state = self.ladder.release(before, by)
        return self.state is not before

    def acknowledge(self, by: str = "anna") -> bool:
        before = self.state
        self.state = self.ladder.acknowledge(before, by)
        return self.state is not before

    def blink(self, times: int, gap_ns: int) -> None:
        """Let the flapping cause come and go."""
        for _ in range(times):
            self.look("blink")
            self.look()
            self.now_ns += gap_ns


def test_a_new_ladder_permits_motion_and_remembers_nothing() -> None:
    state = LadderState()

    assert state.rung is Rung.LOG
    assert state.permits_motion
    assert not state.needs_acknowledgement


def test_a_look_at_nothing_changes_nothing() -> None:
    rig = Rig()
    before = rig.state

    assert rig.look(present=("stop",)) is before


@pytest.mark.parametrize(("cause", "rung"), RUNG_OF.items())
def test_a_cause_puts_the_cell_on_its_rung(cause: str, rung: Rung) -> None:
    assert Rig().look(cause).rung is rung


@pytest.mark.parametrize("cause", ["wait", "stop", "latch", "end"])
def test_from_a_hold_on_nothing_moves(cause: str) -> None:
    assert not Rig().look(cause).permits_motion


@pytest.mark.parametrize("cause", ["note", "slow"])
def test_below_a_hold_work_goes_on_and_the_rung_ends_with_its_cause(cause: str) -> None:
    rig = Rig()

    assert rig.look(cause).permits_motion
    assert rig.look() == LadderState()


@pytest.mark.parametrize("first", RUNG_OF)
@pytest.mark.parametrize("second", RUNG_OF)
def test_of_two_causes_the_higher_rung_wins_in_either_order(
    first: str, second: str
) -> None:
    highest = max(RUNG_OF[first], RUNG_OF[second])

    together = Rig().look(first, second)
    one_by_one = Rig()
    one_by_one.look(first)
    one_by_one.look(first, second)

    assert together.rung is highest
    assert one_by_one.state.rung is highest


@pytest.mark.parametrize("is_moving", [True, False])
def test_a_cause_without_a_rule_latches(is_moving: bool) -> None:
    assert Rig().look("never heard of", is_moving=is_moving).rung is Rung.LATCH


@pytest.mark.parametrize(
    ("is_moving", "rung"), [(True, Rung.LATCH), (False, Rung.STOP)]
)
def test_a_moving_arm_may_want_a_higher_rung(is_moving: bool, rung: Rung) -> None:
    assert Rig().look("link", is_moving=is_moving).rung is rung


def test_coming_to_rest_does_not_take_a_cause_down() -> None:
    rig = Rig()
    rig.look("link", is_moving=True)

    assert rig.look("link", is_moving=False).rung is Rung.LATCH


def test_traces_are_sorted_by_name() -> None:
    state = Rig().look("wait", "stop", "latch")

    assert [trace.cause for trace in state.traces] == ["latch", "stop", "wait"]


# --- holds -------------------------------------------------------------------------


def test_a_hold_ends_by_itself_once_its_cause_is_gone_long_enough() -> None:
    rig = Rig()
    rig.look("wait")
    rig.look()
    rig.now_ns += QUIET_NS - 1
    assert not rig.resume()

    rig.now_ns += 1
    assert rig.resume()

    assert rig.state == LadderState()


def test_a_hold_does_not_end_while_its_cause_is_there() -> None:
    rig = Rig()
    rig.look("wait")
    rig.now_ns += 100 * S

    assert not rig.resume()
    assert rig.state.rung is Rung.HOLD


def test_a_cause_that_is_there_without_acting_keeps_its_own_hold() -> None:
    rig = Rig()
    rig.look("wait")
    rig.look(present=("wait",), after_ns=5 * S)
    rig.look()
    assert not rig.resume()

    rig.now_ns += QUIET_NS
    assert rig.resume()


def test_a_cause_that_is_there_without_acting_holds_nobody_else() -> None:
    rig = Rig()
    rig.look("wait")
    rig.look(present=("stop", "latch"), after_ns=2 * QUIET_NS)

    assert rig.resume()


def test_two_holds_end_together_when_both_are_quiet() -> None:
    rig = Rig()
    rig.look("wait", "blink")
    rig.look("blink")
    rig.look(after_ns=QUIET_NS)
    assert rig.resume()

    rig.look("wait", "blink")
    rig.look(after_ns=QUIET_NS)
    rig.look("wait")
    rig.look()

    assert not rig.resume()


def test_work_with_less_does_not_keep_a_hold_and_survives_its_end() -> None:
    rig = Rig()
    rig.look("wait", "slow")
    rig.look("slow", after_ns=QUIET_NS)

    assert rig.resume()
    assert rig.state.rung is Rung.DEGRADE
    assert rig.state.traces == (
        Trace("slow", Rung.DEGRADE, is_seen=True, seen_ns=rig.now_ns),
    )


@pytest.mark.parametrize("cause", ["stop", "latch", "end"])
def test_nothing_above_a_hold_ends_by_itself(cause: str) -> None:
    rig = Rig()
    rig.look(cause, "wait")
    rig.look(after_ns=10**6 * S)

    assert not rig.resume()
    assert not rig.state.permits_motion


@pytest.mark.parametrize("causes", [(), ("slow",)])
def test_without_a_hold_there_is_nothing_to_resume(causes: tuple[str, ...]) -> None:
    rig = Rig(returns=RETURNS)
    rig.look(*causes)

    assert not rig.resume()
    assert rig.state.returns_ns == ()


def test_a_clock_that_runs_backwards_lets_no_hold_end() -> None:
    rig = Rig()
    rig.look("wait")
    rig.look()
    rig.now_ns -= 50 * S

    assert not rig.resume()


# --- flapping ----------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [1, 2, 5, 10, 20])
def test_a_cause_that_flaps_needs_a_release_from_its_last_onset_on(
    rate_hz: int,
) -> None:
    rig = Rig()
    rig.blink(FLAPPING.count - 1, S // rate_hz)
    assert rig.state.rung is Rung.HOLD

    assert rig.look("blink").rung is Rung.STOP
    rig.look(after_ns=1000 * S)
    assert not rig.resume()
    assert rig.release()
    assert rig.state == LadderState()


def test_onsets_count_even_where_the_hold_ended_between_them() -> None:
    rig = Rig()
    for _ in range(FLAPPING.count - 1):
        rig.look("blink")
        rig.look(after_ns=2 * S)
        assert rig.resume()
        assert rig.state.permits_motion

    assert rig.look("blink").rung is Rung.STOP


def test_onsets_count_while_the_cause_only_lingers_in_its_own_hold() -> None:
    rig = Rig()
    rig.look("blink")
    for _ in range(FLAPPING.count - 1):
        rig.look()
        rig.look(present=("blink",))

    assert rig.state.rung is Rung.STOP


def test_a_cause_that_lingers_without_a_hold_does_not_count() -> None:
    rig = Rig()
    for _ in range(10):
        rig.look(present=("blink",))
        rig.look()

    assert rig.look("blink").rung is Rung.HOLD


def test_a_cause_that_lingers_after_its_hold_does_not_count() -> None:
    rig = Rig()
    rig.look("blink")
    rig.look(after_ns=QUIET_NS)
    assert rig.resume()

    for _ in range(10):
        rig.look(present=("blink",))
        rig.look()

    assert rig.look("blink").rung is Rung.HOLD


def test_no_more_onsets_are_kept_than_count() -> None:
    rig = Rig()

    rig.blink(100, S // 10)

    assert len(rig.state.traces[0].onsets_ns) == FLAPPING.count


def test_a_cause_that_stays_counts_once() -> None:
    rig = Rig()
    for _ in range(100):
        rig.look("blink", after_ns=S // 50)

    assert rig.state.rung is Rung.HOLD
    assert len(rig.state.traces[0].onsets_ns) == 1


@pytest.mark.parametrize(("short_ns", "rung"), [(1, Rung.STOP), (0, Rung.HOLD)])
def test_the_window_ends_just_before_its_length(short_ns: int, rung: Rung) -> None:
    rig = Rig()
    rig.blink(FLAPPING.count - 1, 0)
    rig.now_ns += FLAPPING.window_ns - short_ns

    assert rig.look("blink").rung is rung


def test_a_slow_cause_is_no_flapping_and_its_onsets_are_forgotten() -> None:
    rig = Rig()
    for _ in range(10):
        rig.look("blink")
        rig.look(after_ns=FLAPPING.window_ns // 2)
        assert rig.resume()

    kept = rig.look().traces[0].onsets_ns
    assert len(kept) == 1
    assert rig.look(after_ns=FLAPPING.window_ns // 2).traces == ()


def test_a_cause_without_a_budget_may_come_as_often_as_it_likes() -> None:
    rig = Rig()
    for _ in range(100):
        rig.look("wait")
        rig.look()

    assert rig.state.rung is Rung.HOLD
    assert rig.state.traces[0].onsets_ns == ()


def test_below_a_hold_a_cause_counts_and_does_not_need_a_release() -> None:
    rig = Rig()
    for _ in range(FLAPPING.count):
        rig.look()
        rig.look("mixed")
    assert rig.state.rung is Rung.DEGRADE

    assert rig.look("mixed", is_moving=True).rung is Rung.STOP


def test_a_release_begins_the_count_anew() -> None:
    rig = Rig()
    rig.blink(FLAPPING.count, 0)
    assert rig.release()

    rig.blink(FLAPPING.count - 1, 0)

    assert rig.state.rung is Rung.HOLD


def test_onsets_before_the_clock_ran_backwards_still_count() -> None:
    rig = Rig()
    rig.look("blink")
    rig.look(after_ns=QUIET_NS)
    assert rig.resume()
    rig.look(after_ns=-50 * S)
    rig.look("blink")
    rig.look()

    assert rig.look("blink").rung is Rung.STOP


# --- returns -----------------------------------------------------------------------


def come_back(rig: Rig, cause: str = "wait") -> bool:
    rig.look(cause)
    rig.look(after_ns=QUIET_NS)
    return rig.resume()


def test_holds_may_end_by_themselves_only_so_often() -> None:
    rig = Rig(returns=RETURNS)
    assert come_back(rig)
    assert come_back(rig, "blink")

    assert not come_back(rig)

    assert rig.state.rung is Rung.STOP
    assert rig.release()


def test_returns_are_forgotten_after_their_window() -> None:
    rig = Rig(returns=RETURNS)
    assert come_back(rig)
    first_ns = rig.now_ns
    assert come_back(rig)
    rig.now_ns = first_ns + RETURNS.window_ns

    assert come_back(rig)
    assert len(rig.state.returns_ns) == RETURNS.count


def test_a_release_does_not_give_returns_back() -> None:
    rig = Rig(returns=RETURNS)
    assert come_back(rig)
    assert come_back(rig)
    assert not come_back(rig)
    assert rig.release()

    assert not come_back(rig)


def test_spent_returns_concern_holds_only() -> None:
    rig = Rig(returns=RETURNS)
    assert come_back(rig)
    assert come_back(rig)

    assert rig.look("slow").rung is Rung.DEGRADE


def test_without_a_budget_holds_end_for_ever() -> None:
    rig = Rig()

    assert all(come_back(rig) for _ in range(100))
    assert rig.state.returns_ns == ()


# --- stops -------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["", " ", "\t\n"])
def test_nobody_releases_nothing(by: str) -> None:
    rig = Rig()
    rig.look("stop")
    rig.look()

    assert not rig.release(by)
    assert rig.state.rung is Rung.STOP


def test_a_release_with_a_name_ends_a_stop_whose_cause_is_gone() -> None:
    rig = Rig()
    rig.look("stop")
    rig.look()

    assert rig.release("plc")
    assert rig.state == LadderState()


def test_a_release_does_not_end_what_is_still_there() -> None:
    rig = Rig()
    rig.look("stop", "wait")
    rig.look("stop")
    rig.release()

    assert [trace.cause for trace in rig.state.traces] == ["stop"]
    assert rig.state.rung is Rung.STOP


def test_what_only_a_release_can_mend_does_not_stand_in_its_way() -> None:
    rig = Rig()
    rig.look("link")

    assert rig.release()
    assert rig.state.permits_motion


def test_what_a_release_did_not_mend_stops_again() -> None:
    rig = Rig()
    rig.look("link")
    rig.release()

    assert rig.look("link").rung is Rung.STOP


def test_a_stop_needs_no_acknowledgement() -> None:
    rig = Rig()
    rig.look("stop")

    assert not rig.state.needs_acknowledgement
    assert not rig.acknowledge()


# --- latches -----------------------------------------------------------------------


def test_a_latch_takes_no_release_before_its_acknowledgement() -> None:
    rig = Rig()
    rig.look("latch")
    rig.look()
    asked = [rig.state.needs_acknowledgement]
    assert not rig.release()

    assert rig.acknowledge("anna")

    asked.append(rig.state.needs_acknowledgement)
    assert asked == [True, False]
    assert not rig.state.permits_motion
    assert rig.release()
    assert rig.state == LadderState()


def test_an_acknowledgement_keeps_the_name_of_the_person() -> None:
    rig = Rig()
    rig.look("latch")

    rig.acknowledge("  anna ")

    assert rig.state.acknowledged_by == "anna"


@pytest.mark.parametrize("by", ["", " ", "\n"])
def test_an_acknowledgement_without_a_name_is_none(by: str) -> None:
    rig = Rig()
    rig.look("latch")

    assert not rig.acknowledge(by)
    assert rig.state.needs_acknowledgement


@pytest.mark.parametrize("cause", ["note", "slow", "wait", "stop", "end"])
def test_an_acknowledgement_in_advance_is_none(cause: str) -> None:
    rig = Rig()
    rig.look(cause)

    assert not rig.acknowledge()
    if cause != "end":
        assert rig.look(cause, "latch").needs_acknowledgement


@pytest.mark.parametrize("later", ["wait", "stop", "latch", "link"])
def test_what_strikes_after_an_acknowledgement_wants_another(later: str) -> None:
    rig = Rig()
    rig.look("unknown")
    rig.acknowledge()

    rig.look("unknown", later)

    assert rig.state.needs_acknowledgement


@pytest.mark.parametrize("later", ["note", "slow"])
def test_what_stops_nothing_leaves_an_acknowledgement_alone(later: str) -> None:
    rig = Rig()
    rig.look("latch")
    rig.acknowledge()

    rig.look("latch", later)

    assert not rig.state.needs_acknowledgement


def test_a_latch_that_stays_keeps_its_acknowledgement() -> None:
    rig = Rig()
    rig.look("latch")
    rig.acknowledge()

    rig.look("latch", after_ns=S)
    rig.look(after_ns=S)

    assert rig.state.acknowledged_by == "anna"


def test_a_latch_that_comes_back_wants_another_acknowledgement() -> None:
    rig = Rig()
    rig.look("latch")
    rig.acknowledge()
    rig.look()

    rig.look("latch")

    assert rig.state.needs_acknowledgement


def test_a_cause_that_climbs_after_an_acknowledgement_wants_another() -> None:
    rig = Rig()
    rig.look("latch", "link")
    rig.acknowledge()

    rig.look("latch", "link", is_moving=True)

    assert rig.state.needs_acknowledgement


def test_a_hold_that_lingers_leaves_an_acknowledgement_alone() -> None:
    rig = Rig()
    rig.look("latch", "wait")
    rig.acknowledge()
    rig.look("latch")

    rig.look("latch", present=("wait",))

    assert not rig.state.needs_acknowledgement


def test_an_acknowledged_latch_that_is_still_there_outlasts_a_release() -> None:
    rig = Rig()
    rig.look("latch", "stop")
    rig.look("latch")
    rig.acknowledge()

    rig.release()

    assert rig.state.rung is Rung.LATCH
    assert rig.state.acknowledged_by == "anna"
    rig.look()
    assert rig.release()
    assert rig.state.permits_motion


def test_an_acknowledgement_ends_with_its_latch() -> None:
    rig = Rig()
    rig.look("latch", "stop")
    rig.acknowledge()
    rig.look("stop")

    rig.release()

    assert rig.state.rung is Rung.STOP
    assert rig.state.acknowledged_by == ""


# --- the end -----------------------------------------------------------------------


def test_termination_is_final() -> None:
    rig = Rig()
    rig.look("latch")
    rig.acknowledge()
    rig.state = rig.ladder.terminate(rig.state, "a defect")
    ended = rig.state

    assert ended.rung is Rung.TERMINATE
    assert ended.end_reason == "a defect"
    assert ended.acknowledged_by == ""
    assert rig.look() is ended
    assert rig.look("stop") is ended
    assert not rig.resume()
    assert not rig.release()
    assert not rig.acknowledge()
    assert rig.ladder.terminate(ended, "another") is ended


def test_a_cause_may_end_the_process_and_is_named() -> None:
    rig = Rig()

    ended = rig.look("end", "latch")

    assert ended.end_reason == "end"
    assert rig.look() is ended


@pytest.mark.parametrize(("count", "window_ns"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_a_budget_that_means_nothing_is_refused(count: int, window_ns: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Budget(count, window_ns)


def test_the_smallest_budget_is_spent_by_one() -> None:
    budget = Budget(1, 1)

    assert not budget.is_spent((), 5)
    assert budget.is_spent((5,), 5)
    assert not budget.is_spent((5,), 6)


def test_onsets_that_no_rule_counts_any_more_are_forgotten() -> None:
    rig = Rig()
    rig.state = LadderState(traces=(Trace("wait", onsets_ns=(rig.now_ns,)),))

    assert rig.look().traces == ()
