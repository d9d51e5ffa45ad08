"""The Guardian can only restrict, and nothing leads back but evidence and release."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cell.contracts.attempt import AttemptJudgement, AttemptResult
from cell.contracts.guardian import GuardianMemory
from cell.contracts.runtime import Guardian
from safety.attempt_guardian import AttemptGuardian
from safety.guardian import Doubt, GuardianRules, Trust
from safety.sequential_test import Chart, EvidenceTable, FallTest, ReturnTest

SECOND_NS = 1_000_000_000
OUTCOMES = EvidenceTable.of_outcomes(0.95, 0.80)
BACK = ReturnTest(OUTCOMES, false_return=0.01, false_refusal=0.05, attempts_min=8)
RULES = GuardianRules(
    fall=FallTest((Chart(OUTCOMES, 4.0),)),
    comeback=BACK,
    answer_patience_ns=SECOND_NS,
    evidence_lasts_ns=600 * SECOND_NS,
    constant_window=8,
    novelty_max=9.0,
    trials_max=2,
    falls_max=3,
    needs_release=True,
)
# Three failures weigh more than 4 nat; 27 successes are the evidence for a return.
TO_FALL, TO_RETURN = 3, 27


class Cell:
    """Carries attempts to a Guardian, one second apart."""

    def __init__(
        self, rules: GuardianRules = RULES, *, was_trusted: bool = True
    ) -> None:
        self.guardian = AttemptGuardian(rules)
        self.guardian.begin(GuardianMemory(was_trusted=was_trusted))
        self.now_ns = 100 * SECOND_NS
        self.attempt = 0

    @property
    def permits(self) -> bool:
        return self.guardian.permits_learned(self.now_ns)

    @property
    def trust(self) -> Trust:
        return self.guardian.state.trust

    @property
    def doubt(self) -> Doubt:
        return self.guardian.state.doubt

    def try_grasp(self, *, is_placed: bool = True, **changes: Any) -> None:
        self.now_ns += SECOND_NS
        self.attempt += 1
        answer: dict[str, Any] = {
            "attempt": self.attempt,
            "stamp_ns": self.now_ns,
            "success": 0.9,
            "silent_failure": 0.01,
            # Never the same twice, as a network that looks at something.
            "next_success": 0.90 + 0.001 * (self.attempt % 7),
            "troubles": (0.3, 0.1),
            "novelty": 1.0 + 0.01 * (self.attempt % 7),
        }
        self.guardian.note_attempt(
            AttemptJudgement(**(answer | changes)),
            AttemptResult(self.attempt, self.now_ns, is_placed),
            self.now_ns,
        )

    def try_grasps(self, count: int, *, is_placed: bool = True) -> None:
        for _ in range(count):
            self.try_grasp(is_placed=is_placed)

    def earn_return(self) -> None:
        self.try_grasps(TO_RETURN)


def make_fallen(rules: GuardianRules = RULES) -> Cell:
    cell = Cell(rules)
    cell.try_grasps(TO_FALL, is_placed=False)
    return cell


def test_the_guardian_is_one() -> None:
    guardian: Guardian = AttemptGuardian(RULES)

    assert not guardian.permits_learned(0)


# --- the start ---------------------------------------------------------------------


def test_before_it_begins_nothing_is_trusted_and_nothing_changes_that() -> None:
    cell = Cell()
    cell.guardian = AttemptGuardian(RULES)
    cell.guardian.expect_judgement(1, cell.now_ns)
    cell.try_grasps(100)
    cell.guardian.note_network_lost()

    assert not cell.permits
    assert not cell.guardian.release("Ada", cell.now_ns)
    assert cell.doubt is Doubt.NOT_STARTED


def test_a_signed_off_policy_is_trusted_from_the_first_start() -> None:
    cell = Cell()

    assert cell.permits
    assert cell.doubt is Doubt.NONE


def test_a_restart_is_no_way_back() -> None:
    cell = Cell(was_trusted=False)

    assert not cell.permits
    assert cell.doubt is Doubt.DISTRUSTED_BEFORE


def test_refused_trials_and_the_lock_outlive_a_restart() -> None:
    cell = make_fallen()
    for _ in range(RULES.trials_max):
        cell.try_grasps(TO_FALL, is_placed=False)
    assert cell.guardian.state.is_locked
    memory = cell.guardian.remember()
    assert memory is not None

    later = Cell()
    later.guardian = AttemptGuardian(RULES)
    later.guardian.begin(memory)
    later.try_grasps(100)

    assert later.guardian.view().awaits_release
    assert later.doubt is Doubt.DISTRUSTED_BEFORE
    assert later.guardian.view().doubt == Doubt.STILL_BAD.value
    assert later.guardian.view().trust == "fallback"
    assert later.guardian.release("Ada", later.now_ns)
    later.earn_return()
    assert later.trust is Trust.MAY_RETURN


def test_a_lock_is_stronger_than_a_memory_of_trust() -> None:
    guardian = AttemptGuardian(RULES)
    guardian.begin(GuardianMemory(was_trusted=True, is_locked=True))

    assert not guardian.permits_learned(0)


def test_a_chart_goes_on_from_where_it_stood_before_a_restart() -> None:
    cell = Cell()
    cell.try_grasps(TO_FALL - 1, is_placed=False)
    memory = cell.guardian.remember()
    assert memory is not None

    later = Cell()
    later.guardian = AttemptGuardian(RULES)
    later.guardian.begin(memory)
    assert later.permits
    later.try_grasp(is_placed=False)

    assert not later.permits


@pytest.mark.parametrize(
    "sums_nat", [(), (1.0, 1.0), (math.nan,), (-1.0,), (4.0,), (math.inf,)]
)
def test_sums_of_other_charts_count_as_none(sums_nat: tuple[float, ...]) -> None:
    guardian = AttemptGuardian(RULES)
    guardian.begin(GuardianMemory(was_trusted=True, sums_nat=sums_nat))

    assert guardian.state.fall.sums_nat == (0.0,)
    assert guardian.permits_learned(0)


def test_before_it_begins_there_is_nothing_to_remember() -> None:
    guardian = AttemptGuardian(RULES)

    assert guardian.remember() is None
    assert guardian.view().trust == "fallback"


def test_the_first_story_stays_across_restarts() -> None:
    fallen = make_fallen().guardian.remember()
    assert fallen is not None
    for _ in range(3):
        guardian = AttemptGuardian(RULES)
        guardian.begin(fallen)
        guardian.begin(GuardianMemory(was_trusted=True))
        fallen = guardian.remember()
        assert fallen is not None

    assert fallen.doubt == Doubt.SUCCESS_FELL.value


def test_the_view_tells_how_far_the_way_back_is() -> None:
    cell = make_fallen()
    cell.try_grasps(5)

    view = cell.guardian.view()

    assert (view.trust, view.shadow_attempts) == ("shadow", 5)
    assert view.shadow_needed == BACK.attempts_min
    assert not view.awaits_release


# --- what it proposes where nobody tries it ------------------------------------------


def test_a_policy_that_hardly_ever_agrees_is_refused_whatever_its_attempts_say() -> (
    None
):
    cell = make_fallen(replace(RULES, agreement_min=0.5))
    for _ in range(TO_RETURN):
        cell.try_grasp()
        cell.guardian.note_disagreement()
        cell.guardian.note_disagreement()

    assert cell.doubt is Doubt.DISAGREES
    assert cell.guardian.state.trials == 1
    assert not cell.permits


def test_a_policy_that_agrees_often_enough_is_given_back() -> None:
    cell = make_fallen(replace(RULES, agreement_min=0.5, needs_release=False))
    # What it said before its evidence began counts for nothing.
    for _ in range(100):
        cell.guardian.note_disagreement()
    for number in range(TO_RETURN):
        cell.try_grasp()
        if number:
            cell.guardian.note_disagreement()

    assert cell.permits


def test_disagreements_are_counted_anew_where_evidence_is() -> None:
    cell = make_fallen(replace(RULES, agreement_min=0.5))
    cell.earn_return()
    assert cell.trust is Trust.MAY_RETURN
    cell.now_ns += RULES.evidence_lasts_ns + SECOND_NS
    assert not cell.guardian.release("Ada", cell.now_ns)
    cell.guardian.note_disagreement()

    assert cell.guardian.state.disagreements == 1
    cell.guardian.note_network_lost()
    assert cell.guardian.state.disagreements == 0


def test_beginning_twice_changes_nothing() -> None:
    cell = make_fallen()
    cell.guardian.begin(GuardianMemory(was_trusted=True))

    assert not cell.permits


# --- the fall ----------------------------------------------------------------------


def test_it_fires_at_the_attempt_that_completes_the_evidence() -> None:
    cell = Cell()
    permitted = []
    for _ in range(TO_FALL):
        cell.try_grasp(is_placed=False)
        permitted.append(cell.permits)

    assert permitted == [True, True, False]
    assert cell.trust is Trust.FALLBACK
    assert cell.doubt is Doubt.SUCCESS_FELL


def test_good_attempts_leave_the_policy_where_it_is() -> None:
    cell = Cell()
    cell.try_grasps(500)

    assert cell.permits


def test_attempts_unlike_the_training_count_as_the_worst() -> None:
    table = EvidenceTable((0.5,), (-0.2, 1.0), (1.0, 2.0))
    rules = replace(RULES, fall=FallTest((Chart(table, 2.5),)))
    usual, odd = Cell(rules), Cell(rules)
    for _ in range(3):
        usual.try_grasp(novelty=9.0)
        odd.try_grasp(novelty=9.01)

    assert usual.permits
    assert not odd.permits


# --- the network's own failures ----------------------------------------------------


@pytest.mark.parametrize("name", ["success", "silent_failure", "next_success"])
@pytest.mark.parametrize("value", [math.nan, -0.01, 1.01, math.inf, -math.inf])
def test_an_answer_that_is_no_probability_withdraws_at_once(
    name: str, value: float
) -> None:
    changes: dict[str, Any] = {name: value}
    cell = Cell()
    cell.try_grasp(**changes)

    assert not cell.permits
    assert cell.doubt is Doubt.NOT_A_PROBABILITY


@pytest.mark.parametrize("value", [math.nan, -0.01, 1.01])
def test_a_trouble_that_is_no_probability_withdraws_at_once(value: float) -> None:
    cell = Cell()
    cell.try_grasp(troubles=(0.5, value))

    assert cell.doubt is Doubt.NOT_A_PROBABILITY


def test_each_chart_looks_at_its_own_risk() -> None:
    table = EvidenceTable((0.5,), (-0.2, 1.0), (1.0, 2.0))
    rules = replace(RULES, fall=FallTest((Chart(table, 2.5, channel=2),)))
    other, own, novel = Cell(rules), Cell(rules), Cell(rules)
    for _ in range(3):
        other.try_grasp(troubles=(0.9, 0.1))
        own.try_grasp(troubles=(0.1, 0.9))
        novel.try_grasp(novelty=9.1)

    assert other.permits
    assert not own.permits
    assert not novel.permits


def test_an_answer_that_lacks_a_risk_withdraws() -> None:
    rules = replace(RULES, fall=FallTest((Chart(OUTCOMES, 4.0, channel=2),)))
    cell = Cell(rules)
    cell.try_grasp(troubles=())

    assert not cell.permits


@pytest.mark.parametrize("novelty", [math.nan, -0.01, math.inf])
def test_a_novelty_that_is_none_withdraws_at_once(novelty: float) -> None:
    cell = Cell()
    cell.try_grasp(novelty=novelty)

    assert cell.doubt is Doubt.NOT_A_PROBABILITY


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_ends_of_a_probability_are_still_one(value: float) -> None:
    cell = Cell()
    cell.try_grasp(success=value, silent_failure=value, next_success=value, novelty=0.0)

    assert cell.permits


@pytest.mark.parametrize(("late_ns", "permitted"), [(0, True), (1, False)])
def test_silence_withdraws_when_the_patience_is_over(
    late_ns: int, permitted: bool
) -> None:
    cell = Cell()
    cell.guardian.expect_judgement(1, cell.now_ns)
    cell.now_ns += RULES.answer_patience_ns + late_ns

    assert cell.permits is permitted
    assert cell.doubt is (Doubt.NONE if permitted else Doubt.NETWORK_SILENT)


def test_an_answer_ends_the_wait() -> None:
    cell = Cell()
    cell.guardian.expect_judgement(1, cell.now_ns)
    cell.try_grasp()
    cell.now_ns += 1000 * SECOND_NS

    assert cell.permits


def test_asking_again_does_not_prolong_the_wait() -> None:
    cell = Cell()
    for attempt in range(1, 5):
        cell.guardian.expect_judgement(attempt, cell.now_ns)
        cell.now_ns += RULES.answer_patience_ns // 2

    assert cell.doubt is Doubt.NETWORK_SILENT


def test_an_idle_line_is_no_silence() -> None:
    cell = Cell()
    cell.now_ns += 10**6 * SECOND_NS

    assert cell.permits


def test_a_clock_that_went_back_is_no_proof_of_an_answer_in_time() -> None:
    cell = Cell()
    cell.guardian.expect_judgement(1, cell.now_ns)
    cell.now_ns -= 1

    assert not cell.permits


def test_the_loss_of_the_network_withdraws_at_once() -> None:
    cell = Cell()
    cell.guardian.note_network_lost()

    assert not cell.permits
    assert cell.doubt is Doubt.NETWORK_LOST


def test_a_network_that_always_says_the_same_withdraws_itself() -> None:
    cell = Cell()
    permitted = []
    for _ in range(RULES.constant_window):
        cell.try_grasp(next_success=0.97)
        permitted.append(cell.permits)

    assert permitted == [True] * (RULES.constant_window - 1) + [False]
    assert cell.doubt is Doubt.CONSTANT_OUTPUT


def test_a_stuck_network_never_leads_back() -> None:
    cell = make_fallen(replace(RULES, needs_release=False))
    for _ in range(500):
        cell.try_grasp(next_success=0.97)
        assert not cell.permits


@pytest.mark.parametrize(
    "changes",
    [{"attempt": 0}, {"attempt": 2}, {"stamp_ns": 0}, {"stamp_ns": 10**18}],
)
def test_an_answer_that_belongs_to_something_else_withdraws(
    changes: dict[str, Any],
) -> None:
    cell = Cell()
    cell.try_grasp(**changes)

    assert not cell.permits
    assert cell.doubt is Doubt.OUT_OF_ORDER


def test_an_attempt_that_comes_twice_withdraws() -> None:
    cell = Cell()
    cell.try_grasp()
    cell.attempt -= 1
    cell.try_grasp()

    assert cell.doubt is Doubt.OUT_OF_ORDER


def test_asking_about_an_attempt_of_the_past_withdraws() -> None:
    cell = Cell()
    cell.try_grasps(3)
    cell.guardian.expect_judgement(3, cell.now_ns)

    assert cell.doubt is Doubt.OUT_OF_ORDER


# --- the way back ------------------------------------------------------------------


def test_after_a_fall_answers_lead_into_the_shadow_and_evidence_to_the_door() -> None:
    cell = make_fallen()
    seen = [cell.trust]
    for _ in range(TO_RETURN):
        cell.try_grasp()
        seen.append(cell.trust)
        assert not cell.permits

    assert seen[0] is Trust.FALLBACK
    assert set(seen[1:-1]) == {Trust.SHADOW}
    assert seen[-1] is Trust.MAY_RETURN


def test_a_person_opens_the_door() -> None:
    cell = make_fallen()
    cell.earn_return()

    assert cell.guardian.release(" Ada ", cell.now_ns)
    assert cell.permits
    assert cell.guardian.released_by == "Ada"
    assert cell.doubt is Doubt.NONE


def test_where_nobody_is_asked_the_evidence_opens_it() -> None:
    cell = make_fallen(replace(RULES, needs_release=False))
    cell.try_grasps(TO_RETURN - 1)
    assert not cell.permits

    cell.try_grasp()

    assert cell.permits


@pytest.mark.parametrize("person", ["", "  "])
def test_nobody_releases_nothing(person: str) -> None:
    cell = make_fallen()
    cell.earn_return()

    assert not cell.guardian.release(person, cell.now_ns)
    assert not cell.permits
    assert cell.guardian.released_by == ""


def test_a_release_without_evidence_gives_nothing_back() -> None:
    cell = make_fallen()
    assert not cell.guardian.release("Ada", cell.now_ns)
    cell.try_grasps(TO_RETURN - 1)

    assert not cell.guardian.release("Ada", cell.now_ns)
    assert not cell.permits
    assert cell.guardian.released_by == ""


def test_evidence_does_not_keep_over_the_weekend() -> None:
    cell = make_fallen()
    cell.earn_return()
    cell.now_ns += RULES.evidence_lasts_ns + 1

    assert not cell.guardian.release("Ada", cell.now_ns)
    assert cell.trust is Trust.SHADOW
    cell.earn_return()
    assert cell.guardian.release("Ada", cell.now_ns + RULES.evidence_lasts_ns)


def test_evidence_from_the_future_is_none() -> None:
    cell = make_fallen()
    cell.earn_return()

    assert not cell.guardian.release("Ada", cell.now_ns - 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cell: cell.guardian.note_network_lost(),
        lambda cell: cell.try_grasp(next_success=math.nan),
        lambda cell: cell.try_grasps(TO_FALL, is_placed=False),
    ],
)
def test_what_goes_wrong_at_the_door_closes_it(spoil: Callable[[Cell], None]) -> None:
    cell = make_fallen()
    cell.earn_return()
    spoil(cell)

    assert cell.trust is Trust.FALLBACK
    assert not cell.guardian.release("Ada", cell.now_ns)
    assert not cell.permits


def test_good_attempts_at_the_door_keep_it_open() -> None:
    cell = make_fallen()
    cell.earn_return()
    cell.try_grasps(50)

    assert cell.trust is Trust.MAY_RETURN


def test_a_network_that_fails_in_shadow_costs_the_evidence_so_far() -> None:
    cell = make_fallen()
    cell.try_grasps(TO_RETURN - 1)
    cell.guardian.note_network_lost()
    cell.try_grasps(TO_RETURN - 1)

    assert cell.trust is Trust.SHADOW


def test_after_too_many_trials_only_a_person_opens_another_one() -> None:
    cell = make_fallen(replace(RULES, needs_release=False))
    for _ in range(RULES.trials_max):
        cell.try_grasps(TO_FALL, is_placed=False)
    assert cell.guardian.state.is_locked
    cell.try_grasps(500)
    assert not cell.permits

    assert cell.guardian.release("Ada", cell.now_ns)

    assert not cell.permits
    cell.try_grasps(TO_RETURN - 1)
    assert not cell.permits
    cell.try_grasp()
    assert cell.permits


def test_a_return_forgets_the_trials_before() -> None:
    cell = make_fallen()
    cell.try_grasps(TO_FALL, is_placed=False)
    assert cell.guardian.state.trials == 1
    cell.earn_return()
    cell.guardian.release("Ada", cell.now_ns)

    assert cell.guardian.state.trials == 0


def test_after_a_return_the_next_fall_is_found_as_soon() -> None:
    cell = make_fallen()
    cell.earn_return()
    cell.guardian.release("Ada", cell.now_ns)
    cell.try_grasps(TO_FALL, is_placed=False)

    assert not cell.permits


def test_while_it_is_trusted_there_is_nothing_to_release() -> None:
    cell = Cell()

    assert not cell.guardian.release("Ada", cell.now_ns)


# --- returns that do not last ---------------------------------------------------------


def test_after_too_many_withdrawals_only_a_person_opens_another_trial() -> None:
    cell = make_fallen(replace(RULES, needs_release=False))
    for _ in range(RULES.falls_max - 1):
        assert not cell.guardian.state.is_locked
        cell.earn_return()
        assert cell.permits
        cell.try_grasps(TO_FALL, is_placed=False)

    view = cell.guardian.view()
    assert (view.falls, view.falls_max) == (RULES.falls_max, RULES.falls_max)
    assert view.awaits_release
    cell.try_grasps(500)
    assert cell.trust is Trust.FALLBACK

    assert cell.guardian.release("Ada", cell.now_ns)
    assert not cell.permits
    assert cell.guardian.state.falls == 0
    cell.earn_return()
    assert cell.permits


def test_where_the_first_withdrawal_calls_for_a_person_it_locks() -> None:
    cell = make_fallen(replace(RULES, falls_max=1))

    assert cell.guardian.state.is_locked
    assert cell.doubt is Doubt.SUCCESS_FELL


def test_a_person_who_agrees_to_a_return_has_looked() -> None:
    cell = make_fallen()
    for _ in range(5):
        assert cell.guardian.state.falls == 1
        cell.earn_return()
        assert cell.guardian.release("Ada", cell.now_ns)
        assert cell.guardian.state.falls == 0
        cell.try_grasps(TO_FALL, is_placed=False)

    assert not cell.guardian.state.is_locked


def test_whatever_withdraws_what_is_trusted_counts_and_nothing_else_does() -> None:
    cell = Cell(replace(RULES, needs_release=False))
    cell.guardian.note_network_lost()
    assert cell.guardian.state.falls == 1
    cell.guardian.note_network_lost()
    cell.try_grasps(2)
    cell.try_grasp(next_success=math.nan)
    cell.try_grasps(TO_FALL, is_placed=False)

    assert cell.guardian.state.falls == 1
    assert cell.guardian.state.trials == 1


def test_withdrawals_and_their_lock_outlive_a_restart() -> None:
    cell = make_fallen(replace(RULES, needs_release=False))
    cell.earn_return()
    cell.try_grasps(TO_FALL, is_placed=False)
    memory = cell.guardian.remember()
    assert memory is not None
    assert memory.falls == 2

    later = Cell()
    later.guardian = AttemptGuardian(replace(RULES, falls_max=2))
    later.guardian.begin(memory)

    assert later.guardian.state.is_locked


# --- another model -------------------------------------------------------------------


def test_for_another_model_nothing_of_the_one_before_counts() -> None:
    cell = make_fallen(replace(RULES, falls_max=1))
    cell.guardian.release("Ada", cell.now_ns)
    cell.guardian.forget()

    assert not cell.permits
    assert cell.doubt is Doubt.NOT_STARTED
    assert cell.guardian.remember() is None
    assert cell.guardian.released_by == ""

    cell.guardian.begin(GuardianMemory(was_trusted=True))
    assert cell.guardian.state.falls == 0
    assert cell.permits


def test_an_answer_about_the_model_before_is_out_of_order() -> None:
    cell = Cell()
    cell.try_grasps(3)
    cell.guardian.forget()
    cell.guardian.begin(GuardianMemory(was_trusted=True))
    cell.attempt -= 1

    cell.try_grasp()

    assert cell.doubt is Doubt.OUT_OF_ORDER


def test_the_story_of_the_model_before_is_not_told_of_the_next() -> None:
    guardian = AttemptGuardian(RULES)
    guardian.begin(GuardianMemory(was_trusted=False, doubt="an old story"))
    guardian.forget()
    assert guardian.view().doubt == Doubt.NOT_STARTED.value

    guardian.begin(GuardianMemory(was_trusted=False))

    assert guardian.view().doubt == Doubt.DISTRUSTED_BEFORE.value


# --- rules -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answer_patience_ns": 0}, "answer_patience_ns"),
        ({"evidence_lasts_ns": 0}, "evidence_lasts_ns"),
        ({"trials_max": 0}, "trials_max"),
        ({"agreement_min": -0.1}, "agreement_min must lie"),
        ({"agreement_min": 1.1}, "agreement_min must lie"),
        ({"constant_window": 1}, "constant_window must be 2"),
        ({"constant_window": 9}, "must not be below constant_window"),
        ({"novelty_max": 0.0}, "novelty_max"),
        ({"novelty_max": math.nan}, "novelty_max"),
        ({"novelty_max": math.inf}, "novelty_max"),
    ],
)
def test_rules_that_would_not_restrict_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RULES, **changes)


def test_the_smallest_rules_are_rules() -> None:
    rules = replace(
        RULES,
        answer_patience_ns=1,
        evidence_lasts_ns=1,
        trials_max=1,
        constant_window=2,
    )

    assert Cell(rules).permits


# --- any order of events -----------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """Keeps its own account of what would justify trust, in plain sums."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = Cell()
        self.has_been_withdrawn = False
        self.successes_since = 0
        self.releases = 0

    def note(self, *, evidence: int = 0) -> None:
        """Look after an event; evidence only counts while nothing is trusted."""
        if self.cell.permits:
            if self.has_been_withdrawn:
                assert self.successes_since >= TO_RETURN, "back without evidence"
                assert self.releases, "back without release"
            self.has_been_withdrawn = False
            self.successes_since = self.releases = 0
        elif not self.has_been_withdrawn:
            self.has_been_withdrawn = True
            self.successes_since = self.releases = 0
        else:
            self.successes_since += evidence

    @rule(count=st.integers(1, 40))
    def succeed(self, count: int) -> None:
        for _ in range(count):
            self.cell.try_grasp()
            self.note(evidence=1)

    @rule(count=st.integers(1, 4))
    def fail(self, count: int) -> None:
        for _ in range(count):
            self.cell.try_grasp(is_placed=False)
            self.note()

    @rule(value=st.floats(allow_nan=True, allow_infinity=True))
    def answer_anything(self, value: float) -> None:
        self.cell.try_grasp(next_success=value)
        self.note(evidence=1)

    @rule(attempt=st.integers(-5, 10**6))
    def answer_out_of_turn(self, attempt: int) -> None:
        self.cell.try_grasp(attempt=attempt)
        self.note(evidence=1)

    @rule(seconds=st.integers(-3, 2000))
    def wait(self, seconds: int) -> None:
        self.cell.now_ns += seconds * SECOND_NS
        self.note()

    @rule()
    def ask(self) -> None:
        self.cell.guardian.expect_judgement(self.cell.attempt + 1, self.cell.now_ns)
        self.note()

    @rule()
    def disagree(self) -> None:
        self.cell.guardian.note_disagreement()
        self.note()

    @rule()
    def lose_the_network(self) -> None:
        self.cell.guardian.note_network_lost()
        self.note()

    @rule(person=st.sampled_from(["", " ", "Ada"]))
    def release(self, person: str) -> None:
        self.releases += bool(person.strip())
        self.cell.guardian.release(person, self.cell.now_ns)
        self.note()

    @rule(was_trusted=st.booleans())
    def begin_again(self, was_trusted: bool) -> None:
        self.cell.guardian.begin(GuardianMemory(was_trusted=was_trusted))
        self.note()

    @invariant()
    def trust_and_doubt_agree(self) -> None:
        state = self.cell.guardian.state
        assert (state.trust is Trust.TRUSTED) == (state.doubt is Doubt.NONE)
        if state.is_locked:
            assert state.trust is Trust.FALLBACK


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=30)


@given(st.integers(0, TO_RETURN - 1), st.booleans())
def test_less_evidence_than_stated_never_gives_back(
    count: int, needs_release: bool
) -> None:
    cell = make_fallen(replace(RULES, needs_release=needs_release))
    cell.try_grasps(count)
    cell.guardian.release("Ada", cell.now_ns)

    assert not cell.permits
