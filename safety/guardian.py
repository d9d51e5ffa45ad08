"""The Guardian: withdraws the learned policy when grasps go worse, as a state machine.

It can only restrict. It starts with the learned policy withdrawn, gives it back on the
stated evidence alone and, where so configured, after a named person's release; silence,
a number that is none, a constant answer or the loss of the network withdraw it. Pure:
time is an argument, and every transition returns a new state. Not safety-rated.
"""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from typing import Final

from cell.contracts.attempt import AttemptJudgement, AttemptResult
from cell.contracts.guardian import GuardianMemory
from safety.sequential_test import FallState, FallTest, ReturnState, ReturnTest

CONSTANT_SPREAD: Final = 1e-6
"""Answers that differ by less than this over a whole window do not look at anything."""

FALLS_CEILING: Final = 3
"""So many withdrawals call for a person; a configuration may only ask for fewer."""

_WORST_RISK: Final = 1.0


class Trust(StrEnum):
    """What the learned policy may do."""

    TRUSTED = "trusted"
    FALLBACK = "fallback"
    SHADOW = "shadow"
    MAY_RETURN = "may return"


class Doubt(StrEnum):
    """Why the learned policy was withdrawn last."""

    NONE = ""
    NOT_STARTED = "the Guardian has not begun"
    DISTRUSTED_BEFORE = "it was withdrawn before the last restart"
    SUCCESS_FELL = "grasps succeed less often than they should"
    NETWORK_SILENT = "the Guardian's network gave no answer in time"
    NETWORK_LOST = "the Guardian's network is gone"
    NOT_A_PROBABILITY = "the Guardian's network answered with what is no probability"
    CONSTANT_OUTPUT = "the Guardian's network answers the same to everything"
    OUT_OF_ORDER = "attempts and answers about them do not belong together"
    STILL_BAD = "the learned policy failed too often in shadow"
    DISAGREES = "the learned policy hardly ever proposed what the fallback then did"


@dataclass(frozen=True)
class GuardianRules:
    """What the Guardian decides by.

    Attributes:
        fall: the test that withdraws the learned policy.
        comeback: the test that gives it back.
        answer_patience_ns: time within which the network must answer [ns].
        evidence_lasts_ns: a release later than this after the evidence is refused [ns].
        constant_window: answers in a row that must not all be the same.
        novelty_max: an attempt further from the training than this counts as the worst.
        trials_max: refusals in shadow after which only a person opens another trial.
        falls_max: withdrawals since a person last agreed after which that is so too;
            1 up to a ceiling. Returns that do not last end with it.
        needs_release: whether a person must agree to each return.
        agreement_min: share of the looks in shadow that must have been attempts; what
            it proposes where nobody tries it stays unknown.
    """

    fall: FallTest
    comeback: ReturnTest
    answer_patience_ns: int
    evidence_lasts_ns: int
    constant_window: int
    novelty_max: float
    trials_max: int
    falls_max: int
    needs_release: bool
    agreement_min: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rules that would not restrict.

        Raises:
            ValueError: names the rule.
        """
        for name in ("answer_patience_ns", "evidence_lasts_ns", "trials_max"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be 1 at least")
        if not 1 <= self.falls_max <= FALLS_CEILING:
            raise ValueError(f"falls_max must lie within 1..{FALLS_CEILING}")
        if not self.constant_window >= 2:
            raise ValueError("constant_window must be 2 at least")
        if not 0.0 < self.novelty_max < math.inf:
            raise ValueError("novelty_max must be positive and finite")
        if not 0.0 <= self.agreement_min <= 1.0:
            raise ValueError("agreement_min must lie within 0..1")
        if self.comeback.attempts_min < self.constant_window:
            raise ValueError(
                "comeback.attempts_min must not be below constant_window: a stuck "
                "network could give the learned policy back before it is found out"
            )


@dataclass(frozen=True)
class GuardianState:
    """Everything the Guardian remembers.

    Attributes:
        trust: what the learned policy may do.
        doubt: why it was withdrawn, NONE while it is trusted.
        fall: the test for a fall, running whenever there are answers.
        comeback: the evidence for a return.
        disagreements: looks in shadow in which it proposed something else, or nothing,
            since the evidence began.
        trials: refusals in shadow since the last return or release.
        falls: withdrawals, for whatever reason, since a person last agreed.
        is_locked: only a person opens another trial.
        asked_ns: since when an answer is due, None when none is.
        evidence_ns: when the evidence for a return was complete.
        last_attempt: newest attempt taken into account.
        answers: newest outputs of the network that decide, for telling a stuck one.
    """

    trust: Trust = Trust.FALLBACK
    doubt: Doubt = Doubt.NOT_STARTED
    fall: FallState = field(default_factory=lambda: FallState(()))
    comeback: ReturnState = field(default_factory=ReturnState)
    disagreements: int = 0
    trials: int = 0
    falls: int = 0
    is_locked: bool = False
    asked_ns: int | None = None
    evidence_ns: int = 0
    last_attempt: int = -1
    answers: tuple[tuple[float, ...], ...] = ()


def begin(
    rules: GuardianRules, state: GuardianState, memory: GuardianMemory
) -> GuardianState:
    """Start once, with what the life before left.

    A restart is no way back: whatever was withdrawn stays withdrawn, refused trials and
    withdrawals still count, and a chart that had risen goes on from there.
    """
    if state.doubt is not Doubt.NOT_STARTED:
        return state
    trials, falls = max(0, memory.trials), max(0, memory.falls)
    fresh = replace(
        state,
        fall=rules.fall.resume(memory.sums_nat),
        trials=trials,
        falls=falls,
        # The rules may have become stricter since.
        is_locked=memory.is_locked
        or trials >= rules.trials_max
        or falls >= rules.falls_max,
    )
    if memory.was_trusted and not fresh.is_locked:
        return replace(fresh, trust=Trust.TRUSTED, doubt=Doubt.NONE)
    return replace(fresh, doubt=Doubt.DISTRUSTED_BEFORE, fall=rules.fall.begin())


def look(rules: GuardianRules, state: GuardianState, now_ns: int) -> GuardianState:
    """Return the state as time alone has changed it."""
    if state.asked_ns is None or _is_in_time(rules, state.asked_ns, now_ns):
        return state
    return withdraw(rules, state, Doubt.NETWORK_SILENT)


def expect(rules: GuardianRules, state: GuardianState, now_ns: int) -> GuardianState:
    """Return the state that waits for an answer; an earlier wait goes on counting."""
    looked = look(rules, state, now_ns)
    if looked.asked_ns is not None or looked.doubt is Doubt.NOT_STARTED:
        return looked
    return replace(looked, asked_ns=now_ns)


def withdraw(rules: GuardianRules, state: GuardianState, doubt: Doubt) -> GuardianState:
    """Return the state without trust, and without any evidence for a return.

    A policy that was trusted until now has fallen once more; after a few of these only
    a person opens a trial.
    """
    falls = state.falls + (state.trust is Trust.TRUSTED)
    return replace(
        state,
        falls=falls,
        is_locked=state.is_locked or falls >= rules.falls_max,
        trust=Trust.FALLBACK,
        doubt=Doubt.NOT_STARTED if state.doubt is Doubt.NOT_STARTED else doubt,
        fall=rules.fall.begin(),
        comeback=ReturnState(),
        disagreements=0,
        asked_ns=None,
        answers=(),
    )


def take(
    rules: GuardianRules,
    state: GuardianState,
    judgement: AttemptJudgement,
    result: AttemptResult,
    now_ns: int,
) -> GuardianState:
    """Return the state after one attempt.

    While the learned policy is withdrawn, an attempt counts that the fallback carried
    out where the learned policy, in shadow, had proposed the same.
    """
    looked = look(rules, state, now_ns)
    if looked.doubt is Doubt.NOT_STARTED:
        return looked
    if not is_answer(judgement):
        return withdraw(rules, looked, Doubt.NOT_A_PROBABILITY)
    if not (
        judgement.attempt == result.attempt > looked.last_attempt
        and _is_in_time(rules, judgement.stamp_ns, now_ns)
    ):
        return withdraw(rules, looked, Doubt.OUT_OF_ORDER)
    newest = _list_outputs(rules, judgement)
    answers = (*looked.answers, newest)[-rules.constant_window :]
    heard = replace(looked, answers=answers, asked_ns=None, last_attempt=result.attempt)
    if len(answers) == rules.constant_window and _has_constant(answers):
        return withdraw(rules, heard, Doubt.CONSTANT_OUTPUT)
    risks = compute_risks(judgement, rules.novelty_max)
    return _weigh(rules, heard, risks, result, now_ns)


def disagree(state: GuardianState) -> GuardianState:
    """Return the state after a look in shadow that no attempt came of."""
    if state.trust is not Trust.SHADOW:
        return state
    return replace(state, disagreements=state.disagreements + 1)


def release(
    rules: GuardianRules, state: GuardianState, person: str, now_ns: int
) -> GuardianState:
    """Return the state after a person agreed to a return, or to another trial.

    It gives back nothing without the evidence, and evidence does not keep for ever.
    Withdrawals are counted anew from here.
    """
    looked = look(rules, state, now_ns)
    if not person.strip():
        return looked
    if looked.is_locked:
        return replace(looked, is_locked=False, trials=0, falls=0)
    if looked.trust is not Trust.MAY_RETURN:
        return looked
    if not 0 <= now_ns - looked.evidence_ns <= rules.evidence_lasts_ns:
        return replace(
            looked, trust=Trust.SHADOW, comeback=ReturnState(), disagreements=0
        )
    return replace(_give_back(rules, looked), falls=0)


def is_answer(judgement: AttemptJudgement) -> bool:
    """Say whether every number of an answer is what it should be."""
    probabilities = (
        judgement.success,
        judgement.silent_failure,
        judgement.next_success,
        *judgement.troubles,
    )
    # Written so that NaN is no probability.
    return (
        all(0.0 <= value <= 1.0 for value in probabilities)
        and 0.0 <= judgement.novelty < math.inf
    )


def compute_risks(judgement: AttemptJudgement, novelty_max: float) -> tuple[float, ...]:
    """Return the risks that the tests weigh, 0..1: of what is too novel, the worst.

    The first one is that of the next attempt, the others are those of each trouble.
    """
    if not judgement.novelty <= novelty_max:
        return (_WORST_RISK,) * (1 + len(judgement.troubles))
    return (1.0 - judgement.next_success, *judgement.troubles)


def _weigh(
    rules: GuardianRules,
    state: GuardianState,
    risks: tuple[float, ...],
    result: AttemptResult,
    now_ns: int,
) -> GuardianState:
    fall = rules.fall.step(state.fall, risks, is_placed=result.is_placed)
    weighed = replace(state, fall=fall)
    if state.trust is Trust.TRUSTED and fall.has_fired:
        return withdraw(rules, weighed, Doubt.SUCCESS_FELL)
    # What has earned its return is watched on while nobody has agreed to it.
    if state.trust is Trust.MAY_RETURN and fall.has_fired:
        return _refuse_trial(rules, weighed)
    if state.is_locked or state.trust in (Trust.TRUSTED, Trust.MAY_RETURN):
        return weighed
    comeback = rules.comeback.step(state.comeback, risks[0], is_placed=result.is_placed)
    if comeback.has_failed:
        return _refuse_trial(rules, weighed)
    if not comeback.has_passed:
        return replace(weighed, trust=Trust.SHADOW, comeback=comeback)
    looks = comeback.attempts + state.disagreements
    if comeback.attempts < rules.agreement_min * looks:
        return _refuse_trial(rules, weighed, Doubt.DISAGREES)
    earned = replace(
        weighed,
        trust=Trust.MAY_RETURN,
        comeback=comeback,
        fall=rules.fall.begin(),
        evidence_ns=now_ns,
    )
    return earned if rules.needs_release else _give_back(rules, earned)


def _refuse_trial(
    rules: GuardianRules, state: GuardianState, doubt: Doubt = Doubt.STILL_BAD
) -> GuardianState:
    """Begin the way back anew; after a few of these only a person opens another."""
    trials = state.trials + 1
    return replace(
        withdraw(rules, state, doubt),
        trials=trials,
        is_locked=trials >= rules.trials_max,
    )


def _give_back(rules: GuardianRules, state: GuardianState) -> GuardianState:
    return replace(
        state,
        trust=Trust.TRUSTED,
        doubt=Doubt.NONE,
        fall=rules.fall.begin(),
        comeback=ReturnState(),
        disagreements=0,
        trials=0,
    )


def _is_in_time(rules: GuardianRules, since_ns: int, now_ns: int) -> bool:
    """Say whether a stamp is recent; a clock that went back is no proof of it."""
    return 0 <= now_ns - since_ns <= rules.answer_patience_ns


def _list_outputs(
    rules: GuardianRules, judgement: AttemptJudgement
) -> tuple[float, ...]:
    """Return the outputs that decide: next success, novelty, each charted trouble."""
    channels = sorted({chart.channel for chart in rules.fall.charts} - {0})
    troubles = (judgement.troubles[c - 1 : c] for c in channels)
    return (judgement.next_success, judgement.novelty, *chain.from_iterable(troubles))


def _has_constant(answers: tuple[tuple[float, ...], ...]) -> bool:
    """Say whether one of the outputs is stuck; a missing one fires its chart anyway."""
    columns = zip(*answers, strict=False)
    return any(max(column) - min(column) <= CONSTANT_SPREAD for column in columns)
