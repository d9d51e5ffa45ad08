"""The Guardian at every bound, and each number that it remembers."""

import math
from dataclasses import replace
from typing import Any

import pytest

from cell.contracts.attempt import AttemptJudgement
from cell.contracts.guardian import GuardianMemory
from safety import guardian as machine
from safety.attempt_guardian import AttemptGuardian
from safety.guardian import Doubt, GuardianRules, GuardianState, Trust, compute_risks
from safety.sequential_test import (
    Chart,
    EvidenceTable,
    FallState,
    FallTest,
    ReturnState,
    ReturnTest,
)
from tests.unit.safety.test_guardian import (
    BACK,
    RULES,
    SECOND_NS,
    TO_FALL,
    TO_RETURN,
    Cell,
    make_fallen,
)

# One chart looks at the second trouble, and never fires here.
LISTENING = replace(
    RULES,
    fall=FallTest(
        (Chart(EvidenceTable((0.5,), (-0.2, 0.0), (1.0, 1.0)), 30.0, channel=2),)
    ),
)


def make_judgement(**changes: Any) -> AttemptJudgement:
    plain: dict[str, Any] = {
        "attempt": 1,
        "stamp_ns": 5,
        "success": 0.9,
        "silent_failure": 0.01,
        "next_success": 0.75,
        "troubles": (0.3, 0.1),
        "novelty": 1.0,
    }
    return AttemptJudgement(**(plain | changes))


def test_a_new_guardian_remembers_nothing() -> None:
    state = AttemptGuardian(RULES).state

    assert (state.trust, state.doubt) == (Trust.FALLBACK, Doubt.NOT_STARTED)
    assert (state.fall, state.comeback) == (FallState(()), ReturnState())
    assert (state.disagreements, state.trials, state.is_locked) == (0, 0, False)
    assert state.falls == 0
    assert (state.asked_ns, state.evidence_ns) == (None, 0)
    assert (state.last_attempt, state.answers) == (-1, ())


@pytest.mark.parametrize(
    ("trials", "wanted"), [(-3, 0), (0, 0), (1, 1), (2, 2), (7, 7)]
)
def test_refused_trials_of_the_life_before_still_count(
    trials: int, wanted: int
) -> None:
    guardian = AttemptGuardian(RULES)

    guardian.begin(GuardianMemory(was_trusted=False, trials=trials))

    assert guardian.state.trials == wanted
    assert guardian.state.is_locked is (wanted >= RULES.trials_max)


@pytest.mark.parametrize(
    ("falls", "wanted", "is_locked"),
    [(-1, 0, False), (0, 0, False), (2, 2, False), (3, 3, True), (7, 7, True)],
)
def test_withdrawals_of_the_life_before_still_count(
    falls: int, wanted: int, is_locked: bool
) -> None:
    guardian = AttemptGuardian(RULES)

    guardian.begin(GuardianMemory(was_trusted=True, falls=falls))

    assert guardian.state.falls == wanted
    assert guardian.state.is_locked is is_locked
    assert guardian.permits_learned(0) is not is_locked
    assert guardian.view().falls == wanted


def test_before_it_begins_it_waits_for_no_answer() -> None:
    guardian = AttemptGuardian(RULES)

    guardian.expect_judgement(1, 5)

    assert guardian.state == GuardianState()
    assert guardian.view().doubt == Doubt.NOT_STARTED.value


def test_before_it_begins_attempts_change_nothing() -> None:
    cell = Cell()
    cell.guardian = AttemptGuardian(RULES)

    cell.try_grasps(3)

    assert cell.guardian.state == GuardianState()


@pytest.mark.parametrize(("attempt", "wanted"), [(-1, Doubt.OUT_OF_ORDER), (0, "")])
def test_attempts_are_numbered_from_nothing(attempt: int, wanted: str) -> None:
    cell = Cell()
    cell.attempt = attempt - 1

    cell.try_grasp()

    assert cell.doubt == wanted


def test_the_first_number_may_be_asked_about() -> None:
    cell = Cell()

    cell.guardian.expect_judgement(0, cell.now_ns)

    assert cell.permits
    assert cell.guardian.state.asked_ns == cell.now_ns
    cell.guardian.expect_judgement(-1, cell.now_ns)
    assert cell.doubt is Doubt.OUT_OF_ORDER


# --- what the network says -----------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "is_constant"),
    [
        # One of both is 0, so that the difference is what it looks like.
        (0.0, 1e-6, True),
        (0.0, math.nextafter(1e-6, 1.0), False),
        (0.9, 0.9 + 0.95e-6, True),
        (0.9, 0.9 + 1.05e-6, False),
    ],
)
def test_answers_that_hardly_differ_do_not_look_at_anything(
    low: float, high: float, is_constant: bool
) -> None:
    cell = Cell()
    for number in range(RULES.constant_window):
        cell.try_grasp(next_success=high if number == 3 else low)

    assert cell.permits is not is_constant
    assert (cell.doubt is Doubt.CONSTANT_OUTPUT) is is_constant


def test_only_as_many_answers_are_kept_as_are_compared() -> None:
    cell = Cell()
    cell.try_grasps(20)

    assert len(cell.guardian.state.answers) == RULES.constant_window
    newest = (0.90 + 0.001 * (20 % 7), 1.0 + 0.01 * (20 % 7))
    assert cell.guardian.state.answers[-1] == newest


def test_the_risks_are_those_of_the_next_attempt_and_of_each_trouble() -> None:
    assert compute_risks(make_judgement(), 9.0) == (0.25, 0.3, 0.1)
    assert compute_risks(make_judgement(troubles=()), 9.0) == (0.25,)


@pytest.mark.parametrize("novelty", [9.001, math.inf, math.nan])
def test_of_what_is_too_novel_every_risk_is_the_worst(novelty: float) -> None:
    judgement = make_judgement(novelty=novelty)

    assert compute_risks(judgement, 9.0) == (1.0, 1.0, 1.0)
    assert compute_risks(replace(judgement, troubles=()), 9.0) == (1.0,)


def test_the_way_back_looks_at_the_risk_of_the_next_attempt() -> None:
    # More than one in two counts as bad, whatever the outcome.
    table = EvidenceTable((0.5,), (-0.2, 3.0), (-0.2, 3.0))
    rules = replace(RULES, comeback=ReturnTest(table, 0.01, 0.05, attempts_min=8))
    troubled, risky = make_fallen(rules), make_fallen(rules)

    troubled.try_grasp(troubles=(0.9, 0.9))
    risky.try_grasp(next_success=0.1)

    assert troubled.trust is Trust.SHADOW
    assert risky.trust is Trust.FALLBACK
    assert risky.doubt is Doubt.STILL_BAD


@pytest.mark.parametrize(
    "stuck", [{"novelty": 1.0}, {"troubles": (0.3, 0.0)}, {"next_success": 0.9}]
)
def test_each_output_that_decides_is_watched(stuck: dict[str, Any]) -> None:
    cell = Cell(LISTENING)
    for number in range(RULES.constant_window):
        assert cell.permits
        cell.try_grasp(**({"troubles": (0.3, 0.01 * number)} | stuck))

    assert cell.doubt is Doubt.CONSTANT_OUTPUT


def test_a_trouble_that_no_chart_looks_at_may_stand_still() -> None:
    cell = Cell(LISTENING)
    for number in range(2 * RULES.constant_window):
        cell.try_grasp(troubles=(0.3, 0.01 * number, 0.0))

    assert cell.permits
    assert cell.guardian.state.answers[-1][2:] == (0.01 * number,)


def test_what_stands_still_is_found_among_many_outputs() -> None:
    charts = tuple(replace(LISTENING.fall.charts[0], channel=n) for n in (2, 1, 0))
    cell = Cell(replace(LISTENING, fall=FallTest(charts)))
    for number in range(RULES.constant_window):
        cell.try_grasp(troubles=(0.01 * number, 0.25))

    assert [*cell.guardian.state.answers] == []
    assert cell.doubt is Doubt.CONSTANT_OUTPUT
    cell.try_grasp(troubles=(0.125, 0.25))
    assert cell.guardian.state.answers[0][2:] == (0.125, 0.25)


# --- evidence, trials and the lock ---------------------------------------------------


def test_in_shadow_the_test_for_a_fall_decides_nothing() -> None:
    cell = make_fallen()
    cell.try_grasps(10)

    # Enough for the one test to fire, and not for the other one to refuse.
    cell.try_grasps(TO_FALL, is_placed=False)

    assert cell.guardian.state.fall.has_fired
    assert cell.trust is Trust.SHADOW
    assert cell.guardian.state.trials == 0


def test_while_it_is_locked_nothing_counts() -> None:
    cell = make_fallen()
    cell.try_grasps(RULES.trials_max * TO_FALL, is_placed=False)
    before = cell.guardian.state
    assert before.is_locked

    cell.try_grasps(2 * TO_FALL, is_placed=False)
    cell.try_grasps(5)

    after = cell.guardian.state
    assert (after.trust, after.doubt) == (Trust.FALLBACK, Doubt.STILL_BAD)
    assert (after.trials, after.comeback) == (before.trials, ReturnState())


def test_what_fails_while_it_is_locked_opens_no_lock() -> None:
    cell = make_fallen()
    cell.try_grasps(RULES.trials_max * TO_FALL, is_placed=False)
    cell.guardian.note_network_lost()

    assert cell.guardian.state.is_locked
    assert cell.doubt is Doubt.NETWORK_LOST


def test_nobody_opens_no_lock() -> None:
    cell = make_fallen()
    cell.try_grasps(RULES.trials_max * TO_FALL, is_placed=False)

    assert not cell.guardian.release(" ", cell.now_ns)
    assert cell.guardian.state.is_locked
    assert cell.guardian.released_by == ""


def test_behind_an_opened_lock_trials_are_counted_from_nothing() -> None:
    cell = make_fallen()
    cell.try_grasps(RULES.trials_max * TO_FALL, is_placed=False)

    assert cell.guardian.release("Ada", cell.now_ns)

    assert cell.guardian.state.trials == 0
    cell.try_grasps((RULES.trials_max - 1) * TO_FALL, is_placed=False)
    assert not cell.guardian.state.is_locked
    cell.try_grasps(TO_FALL, is_placed=False)
    assert cell.guardian.state.is_locked


@pytest.mark.parametrize(
    ("disagreements", "wanted"),
    [(TO_RETURN, Trust.MAY_RETURN), (TO_RETURN + 1, Trust.FALLBACK)],
)
def test_just_the_share_of_agreement_is_enough(
    disagreements: int, wanted: Trust
) -> None:
    cell = make_fallen(replace(RULES, agreement_min=0.5))
    cell.try_grasp()
    for _ in range(disagreements):
        cell.guardian.note_disagreement()

    cell.try_grasps(TO_RETURN - 1)

    assert cell.trust is wanted


def test_where_no_agreement_is_asked_for_none_is_needed() -> None:
    cell = make_fallen()
    cell.try_grasp()
    for _ in range(10_000):
        cell.guardian.note_disagreement()

    cell.try_grasps(TO_RETURN - 1)

    assert cell.trust is Trust.MAY_RETURN


def test_a_return_forgets_what_led_to_it() -> None:
    cell = make_fallen()
    cell.try_grasp()
    cell.guardian.note_disagreement()
    cell.try_grasps(TO_RETURN - 1)

    assert cell.guardian.release("Ada", cell.now_ns)

    state = cell.guardian.state
    assert (state.disagreements, state.trials) == (0, 0)
    assert (state.comeback, state.fall) == (ReturnState(), RULES.fall.begin())


# --- what it shows -------------------------------------------------------------------


def test_the_view_says_when_a_person_is_waited_for() -> None:
    cell = make_fallen()
    assert not cell.guardian.view().awaits_release
    cell.earn_return()

    view = cell.guardian.view()

    assert view.awaits_release
    assert view.trust == Trust.MAY_RETURN.value
    assert cell.guardian.release("Ada", cell.now_ns)
    assert not cell.guardian.view().awaits_release
    assert cell.guardian.view().released_by == "Ada"


def test_a_distrust_without_a_story_says_so() -> None:
    cell = Cell(was_trusted=False)

    assert cell.guardian.view().doubt == Doubt.DISTRUSTED_BEFORE.value


def test_a_new_doubt_takes_the_place_of_the_old_story() -> None:
    guardian = AttemptGuardian(RULES)
    guardian.begin(GuardianMemory(was_trusted=False, doubt="an old story"))
    assert guardian.view().doubt == "an old story"

    guardian.note_network_lost()

    assert guardian.view().doubt == Doubt.NETWORK_LOST.value
    remembered = guardian.remember()
    assert remembered is not None
    assert remembered.doubt == Doubt.NETWORK_LOST.value
    assert not remembered.was_trusted


def test_what_is_remembered_of_a_trusted_policy_is_its_trust_and_its_sums() -> None:
    cell = Cell()
    cell.try_grasp(is_placed=False)

    sums_nat = cell.guardian.state.fall.sums_nat
    wanted = GuardianMemory(was_trusted=True, sums_nat=sums_nat)
    assert cell.guardian.remember() == wanted
    assert sums_nat[0] > 0.0


# --- rules ---------------------------------------------------------------------------


def test_the_numbers_of_the_guardian_are_those_that_were_signed_off() -> None:
    assert machine.CONSTANT_SPREAD == 1e-6
    assert machine.FALLS_CEILING == 3
    assert GuardianRules.agreement_min == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"agreement_min": 0.0},
        {"agreement_min": 1.0},
        {"falls_max": 1},
        {"falls_max": 3},
        {"novelty_max": 1e-3},
        {"constant_window": BACK.attempts_min},
    ],
)
def test_rules_may_be_just_at_their_bounds(changes: dict[str, Any]) -> None:
    assert Cell(replace(RULES, **changes)).permits


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"falls_max": 0}, "falls_max must lie within 1..3"),
        ({"falls_max": 4}, "falls_max must lie within 1..3"),
        ({"falls_max": math.nan}, "falls_max must lie"),
        ({"agreement_min": 1.001}, "agreement_min must lie"),
        ({"agreement_min": math.nan}, "agreement_min must lie"),
        ({"novelty_max": -1.0}, "novelty_max must"),
        ({"constant_window": 0}, "constant_window must be 2"),
        ({"constant_window": math.nan}, "constant_window must be 2"),
        ({"answer_patience_ns": math.nan}, "answer_patience_ns must"),
        ({"evidence_lasts_ns": math.nan}, "evidence_lasts_ns must"),
        ({"trials_max": math.nan}, "trials_max must"),
    ],
)
def test_and_not_beyond(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RULES, **changes)


def test_a_wait_that_was_answered_begins_anew() -> None:
    cell = Cell()
    cell.guardian.expect_judgement(1, cell.now_ns)
    cell.try_grasp()
    cell.guardian.expect_judgement(2, cell.now_ns)

    cell.now_ns += SECOND_NS

    assert cell.permits
    cell.now_ns += 1
    assert not cell.permits
