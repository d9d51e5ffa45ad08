"""A Guardian with short tests, and a network that says what it is told to."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.drivers import Clock
from cell.contracts.errors import DriverUnreachableError, PolicyTimeoutError
from cell.contracts.units import ns_from_s
from cell.supervisor.ports import GuardianPeers
from safety.attempt_guardian import AttemptGuardian
from safety.guardian import GuardianRules
from safety.sequential_test import Chart, EvidenceTable, FallTest, ReturnTest

SECOND_NS = 1_000_000_000
DEADLINE_S = 1.0
# One bin of risk below a half, in which outcomes speak alone, and one above.
_OUTCOMES = EvidenceTable.of_outcomes(0.95, 0.50)
_TABLE = EvidenceTable(
    (0.5,), (_OUTCOMES.placed_nat[0], 1.0), (_OUTCOMES.failed_nat[0], 2.5)
)
RULES = GuardianRules(
    fall=FallTest((Chart(_TABLE, 2.9),)),
    comeback=ReturnTest(_TABLE, 0.01, 0.05, attempts_min=8),
    answer_patience_ns=ns_from_s(DEADLINE_S),
    evidence_lasts_ns=600 * SECOND_NS,
    constant_window=6,
    novelty_max=9.0,
    trials_max=2,
    falls_max=3,
    needs_release=False,
    agreement_min=0.3,
)
"""Three attempts at a risk above a half withdraw, eight good ones give back."""


@dataclass
class FakeNetwork:
    """Says little risk of everything until it is told otherwise.

    Attributes:
        clock: for the time it takes, and for stamps.
        is_up: it is there.
        is_silent: it gives no answer.
        risk: what it sees of the next attempt, 0..1; NaN is handed on.
        is_constant: it answers the same to everything.
        think_s: time for each answer [s].
        asked: every attempt that it was asked about.
        change: what becomes of an answer.
    """

    clock: Clock
    is_up: bool = True
    is_silent: bool = False
    risk: float = 0.1
    is_constant: bool = False
    think_s: float = 0.01
    asked: list[AttemptFeatures] = field(default_factory=list)
    change: Callable[[AttemptJudgement], AttemptJudgement] = lambda said: said

    def is_ready(self) -> bool:
        """Say whether it is there."""
        return self.is_up

    async def judge(self, features: AttemptFeatures) -> AttemptJudgement:
        """Answer as it was told to."""
        self.asked.append(features)
        think_s = DEADLINE_S if self.is_silent else self.think_s
        await self.clock.sleep_until_ns(self.clock.now_ns() + ns_from_s(think_s))
        if self.is_silent:
            raise PolicyTimeoutError("no answer")
        if not self.is_up:
            raise DriverUnreachableError("Guardian worker", "gone")
        spread = 0.0 if self.is_constant else 1e-3 * (len(self.asked) % 5)
        risk = self.risk if math.isnan(self.risk) else self.risk + spread
        return self.change(
            AttemptJudgement(
                attempt=features.attempt,
                stamp_ns=self.clock.now_ns(),
                success=0.9,
                silent_failure=0.01,
                next_success=1.0 - risk,
                troubles=(),
                novelty=1.0 + spread,
            )
        )


def make_peers(
    network: FakeNetwork, *, trusts_new: bool = True, **rules: Any
) -> GuardianPeers:
    """Return a Guardian over `network`; `rules` replace those above."""
    return GuardianPeers(
        guardian=AttemptGuardian(replace(RULES, **rules)),
        network=network,
        network_id="n" * 64,
        trusts_new_model=trusts_new,
    )
