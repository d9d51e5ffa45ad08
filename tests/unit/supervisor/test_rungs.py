"""Every cause of the cell on the reaction ladder: alone, in pairs, and at random."""

import itertools
import random
from pathlib import Path

import pytest

from cell.contracts.errors import FaultCode, StopCategory
from cell.contracts.ladder import LadderState, Rung
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause, Clears, Reaction
from cell.supervisor.decision import Finding, Situation, decide
from cell.supervisor.reaction_desk import find_struck
from cell.supervisor.reactions import compute_reaction
from cell.supervisor.rungs import (
    ALARM_IDS,
    FLAPPING,
    RETURNS,
    make_rule,
    make_rules,
)
from cell.supervisor.states import Command, Mode
from safety.ladder import Ladder
from tests.unit.supervisor.test_decision import PRODUCING

PAGE = Path(__file__).resolve().parents[3] / "ops" / "handbook" / "supervisor.md"
RULES = make_rules()
LADDER = Ladder(RULES)
NOBODY: frozenset[str] = frozenset()
S = 1_000_000_000
# What PackML does about a rung while the cell works: suspend, hold or abort.
COMMANDS = {
    Rung.LOG: (None,),
    Rung.DEGRADE: (None, Command.SUSPEND),
    Rung.HOLD: (Command.HOLD,),
    Rung.STOP: (Command.HOLD,),
    Rung.LATCH: (Command.ABORT,),
}

FAMILIES = {
    Reaction.NONE: "-",
    Reaction.SUSPEND: "Suspending",
    Reaction.HOLD: "Holding",
    Reaction.ABORT: "Aborting",
}


def rung_of(cause: Cause, *, is_moving: bool) -> Rung:
    rule = RULES.causes[cause.value]
    return rule.moving if is_moving else rule.still


def strike(*causes: Cause, is_moving: bool = True) -> LadderState:
    names = frozenset(cause.value for cause in causes)
    return LADDER.observe(LadderState(), names, names, 0, is_moving=is_moving)


# --- the table ---------------------------------------------------------------------


def test_every_cause_has_its_rule_and_its_alarm() -> None:
    assert set(RULES.causes) == {cause.value for cause in Cause}
    assert set(ALARM_IDS) == set(Cause)


def test_every_alarm_has_a_number_of_its_own_that_names_its_fault_word() -> None:
    assert len(set(ALARM_IDS.values())) == len(Cause)
    for cause, alarm_id in ALARM_IDS.items():
        assert alarm_id > 0
        assert alarm_id // 10 == FACTS[cause].code, cause


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("is_moving", [True, False])
def test_the_rung_of_a_cause_is_what_packml_does_about_it(
    cause: Cause, is_moving: bool
) -> None:
    rung = rung_of(cause, is_moving=is_moving)

    for state in PRODUCING:
        command = compute_reaction(cause, state, is_moving=is_moving)
        assert command in COMMANDS[rung], state


@pytest.mark.parametrize("cause", list(Cause))
def test_the_rung_of_a_cause_is_who_may_end_it(cause: Cause) -> None:
    rungs = {rung_of(cause, is_moving=True), rung_of(cause, is_moving=False)}
    clears = FACTS[cause].clears

    assert (Rung.HOLD in rungs) is (
        clears is Clears.BY_ITSELF and FACTS[cause].moving is Reaction.HOLD
    )
    if clears is Clears.BY_CLEAR:
        assert rungs == {Rung.LATCH}
    if clears is Clears.BY_UNHOLD:
        assert rungs <= {Rung.STOP, Rung.LATCH}
    if max(rungs) >= Rung.STOP and FACTS[cause].moving is Reaction.ABORT:
        assert FACTS[cause].code is not FaultCode.NONE


@pytest.mark.parametrize("cause", list(Cause))
def test_only_a_latch_takes_power_away(cause: Cause) -> None:
    if FACTS[cause].stop is not StopCategory.CONTROLLED_KEEP_POWER:
        assert rung_of(cause, is_moving=False) is Rung.LATCH


@pytest.mark.parametrize("cause", list(Cause))
def test_every_hold_that_ends_by_itself_may_flap_only_so_often(cause: Cause) -> None:
    rule = make_rule(cause)

    has_hold = Rung.HOLD in (rule.moving, rule.still)
    assert rule.flapping == (FLAPPING if has_hold else None)
    assert rule.quiet_ns == S
    assert rule.is_mended_by_release is FACTS[cause].disarms


@pytest.mark.parametrize("cause", list(Cause))
def test_the_handbook_has_the_place_of_every_cause_on_the_ladder(cause: Cause) -> None:
    facts = FACTS[cause]
    moving, still = (rung_of(cause, is_moving=moves) for moves in (True, False))
    rungs = describe(f"R{int(moving)}", f"R{int(still)}")
    family = describe(FAMILIES[facts.moving], FAMILIES[facts.still])
    stop = str(int(facts.stop)) if moving >= Rung.HOLD else "-"
    row = f"| `{cause.value}` | {rungs} | {ALARM_IDS[cause]} | {family} | {stop} |"

    assert row in PAGE.read_text("utf-8").splitlines()


def describe(moving: str, still: str) -> str:
    return moving if moving == still else f"{moving} / {still}"


def test_the_handbook_names_how_often_a_hold_may_come_and_end() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())

    assert f"{FLAPPING.count} times in {FLAPPING.window_ns // S} s" in text
    assert f"{RETURNS.count} times in {RETURNS.window_ns // S // 60} minutes" in text


# --- all pairs ---------------------------------------------------------------------

PAIRS = list(itertools.permutations(Cause, 2))


@pytest.mark.parametrize("is_moving", [True, False])
def test_of_all_pairs_the_higher_rung_wins_whatever_came_first(
    is_moving: bool,
) -> None:
    for first, second in PAIRS:
        one = LADDER.observe(
            LadderState(), frozenset({first.value}), NOBODY, 0, is_moving=is_moving
        )
        both = frozenset({first.value, second.value})
        two = LADDER.observe(one, both, NOBODY, S, is_moving=is_moving)

        highest = max(rung_of(cause, is_moving=is_moving) for cause in (first, second))
        assert two.rung is highest, (first, second)
        assert two.rung is strike(first, second, is_moving=is_moving).rung


def test_of_all_pairs_none_unlatches_the_other() -> None:
    for first, second in PAIRS:
        both = strike(first, second)
        alone = strike(first)
        # The second one comes and goes, and everything is quiet for long.
        gone = LADDER.observe(both, NOBODY, NOBODY, S, is_moving=False)
        late_ns = 10**6 * S
        for state in (gone, LADDER.resume(gone, late_ns)):
            if alone.rung >= Rung.STOP:
                assert not state.permits_motion, (first, second)
            if alone.rung is Rung.LATCH:
                assert LADDER.release(state, "plc") is state, (first, second)
        resumed = LADDER.resume(gone, late_ns)
        assert resumed.permits_motion is (both.rung <= Rung.HOLD), (first, second)


def test_of_all_pairs_the_cell_reacts_to_the_worse_one_at_once() -> None:
    for (first, second), state, is_moving in itertools.product(
        PAIRS, sorted(PRODUCING), (True, False)
    ):
        live = [cause for cause in (first, second) if FACTS[cause].is_live]
        situation = Situation(
            state=state,
            mode=Mode.PRODUCTION,
            is_moving=is_moving,
            findings=(Finding(first), Finding(second)),
        )
        struck = find_struck(state, live, is_moving=is_moving)
        names = frozenset(cause.value for cause in struck)
        ladder = LADDER.observe(LadderState(), names, NOBODY, 0, is_moving=is_moving)

        trigger = decide(situation).trigger

        if live:
            assert trigger in COMMANDS[ladder.rung], (first, second, state)
        assert ladder.permits_motion is not bool(live), (first, second, state)


# --- at random ---------------------------------------------------------------------

STEPS = 1_000_000
SCENE = 1_000
"""Steps with the same few causes, so that each of them is met in every company."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_random_steps_end_no_latch_without_a_name() -> None:
    rng = random.Random(20261126)
    names = [cause.value for cause in Cause]
    looks: list[frozenset[str]] = []
    state, now_ns = LadderState(), 0
    owes_acknowledgement = owes_release = False
    met = dict.fromkeys(Rung, 0)
    for step in range(STEPS):
        if step % SCENE == 0:
            few = rng.sample(names, 4)
            looks = [frozenset(rng.sample(few, rng.choice((0, 0, 1, 2)))) for _ in few]
            looks.append(NOBODY)
        now_ns += rng.getrandbits(31)
        before, dice = state, rng.random()
        if dice < 0.6:
            struck, present = rng.choice(looks), rng.choice(looks)
            is_moving = dice < 0.3
            state = LADDER.observe(state, struck, present, now_ns, is_moving=is_moving)
            if not before.permits_motion:
                assert state.rung >= before.rung
        elif dice < 0.7:
            state = LADDER.resume(state, now_ns)
            assert state is before or before.rung is Rung.HOLD
        elif dice < 0.75:
            assert LADDER.acknowledge(LADDER.release(state, " "), "") is state
        elif dice < 0.85:
            state = LADDER.acknowledge(state, "anna")
            owes_acknowledgement &= before.rung is not Rung.LATCH
        else:
            state = LADDER.release(state, "plc")
            owes_release &= owes_acknowledgement
        owes_acknowledgement |= state.rung >= Rung.LATCH > before.rung
        owes_release |= state.rung >= Rung.STOP > before.rung
        met[state.rung] += 1
        assert not (state.permits_motion and (owes_acknowledgement or owes_release))
        assert len(state.traces) <= len(names)
        assert len(state.returns_ns) <= RETURNS.count

    assert all(met[rung] > STEPS // 1000 for rung in Rung if rung < Rung.TERMINATE)
