"""What the Guardian makes of a network that answers nonsense, by its own rules."""

import math
from dataclasses import replace

from cell.contracts.attempt import AttemptJudgement, AttemptResult
from cell.contracts.guardian import GuardianMemory
from cell.contracts.units import ns_from_s
from ops.guardian_watch import read_rules
from ops.settings import Settings
from safety.attempt_guardian import AttemptGuardian
from safety.guardian import Doubt
from sim2real.faults.guard_checks import judge
from sim2real.faults.judgement import Judgement

_ATTEMPT_S = 5.0
_BELIEVABLE = AttemptJudgement(0, 0, 0.9, 0.05, 0.9, (), 0.0)


def spoilt_guardian(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F46: an answer that is no number, and the same answer again and again.

    Of what is no number one answer is enough. That a network looks at nothing shows
    only over a window of answers.
    """
    nan = replace(_BELIEVABLE, next_success=math.nan) if with_fault else _BELIEVABLE
    missed = [
        _expect(settings, nan, 1, Doubt.NOT_A_PROBABILITY),
        _expect(settings, _BELIEVABLE, 50 if with_fault else 1, Doubt.CONSTANT_OUTPUT),
    ]
    return judge("distrusted: the fallback policy picks", *missed)


def _expect(settings: Settings, said: AttemptJudgement, most: int, doubt: Doubt) -> str:
    """Miss a fall for this doubt within so many good attempts."""
    _manifest, rules = read_rules(settings)
    guardian = AttemptGuardian(rules)
    guardian.begin(GuardianMemory(was_trusted=True))
    now_s = 1000.0
    for attempt in range(1, most + 1):
        now_s += _ATTEMPT_S
        now_ns = ns_from_s(now_s)
        guardian.expect_judgement(attempt, now_ns)
        judgement = replace(said, attempt=attempt, stamp_ns=now_ns)
        result = AttemptResult(attempt, now_ns, is_placed=True)
        guardian.note_attempt(judgement, result, now_ns)
        if not guardian.permits_learned(now_ns):
            seen = guardian.view().doubt
            return "" if seen == doubt.value else f"it fell because {seen}"
    return f"after {most} answers it does not doubt that {doubt.value}"
