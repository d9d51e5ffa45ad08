"""Sequential tests on grasp attempts: has success fallen, and has it come back?

Every attempt adds the logarithm of how much more likely it is under a worse policy than
under a good one. A CUSUM over that sum says that success fell; a test after Wald says
that it is back. Pure: no clock, no I/O, states are values. A number that is none makes
the test distrust itself, which its user must read as: fall back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Self

EVIDENCE_MAX_NAT: Final = 6.0
"""No single attempt may weigh more: it would decide alone."""

THRESHOLD_MAX_NAT: Final = 50.0
"""A higher threshold is never crossed in the life of a cell."""

FAILURES_MAX: Final = 30
"""A chart that so many failures in a row do not fire is deaf."""


@dataclass(frozen=True)
class EvidenceTable:
    """What one attempt weighs, by the risk that the network sees and the outcome.

    Positive speaks for a worse policy, negative for a good one. More risk never speaks
    for health, and neither does a failure against a success: a table that says so was
    made of noise and is refused.

    Attributes:
        edges: rising bounds between the risk bins, inside 0..1; none for a single bin.
        placed_nat: log-likelihood ratio of a placed part, one for each bin [nat].
        failed_nat: the same for every other outcome.
    """

    edges: tuple[float, ...]
    placed_nat: tuple[float, ...]
    failed_nat: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no table.

        Raises:
            ValueError: sizes, order or values do not fit.
        """
        bins = len(self.edges) + 1
        if len(self.placed_nat) != bins or len(self.failed_nat) != bins:
            raise ValueError(
                f"evidence: {len(self.edges)} edges need {bins} values of each kind"
            )
        bounds = (0.0, *self.edges, 1.0)
        if not all(low < high for low, high in pairwise(bounds)):
            raise ValueError("evidence: edges must rise from above 0 to below 1")
        for name, row in (("placed", self.placed_nat), ("failed", self.failed_nat)):
            if not all(abs(value) <= EVIDENCE_MAX_NAT for value in row):
                raise ValueError(
                    f"evidence: {name}_nat must lie within +-{EVIDENCE_MAX_NAT}"
                )
            if any(low > high for low, high in pairwise(row)):
                raise ValueError(f"evidence: {name}_nat must not fall with the risk")
        pairs = zip(self.placed_nat, self.failed_nat, strict=True)
        if any(placed > failed for placed, failed in pairs):
            raise ValueError("evidence: a failure must not weigh less than a success")

    @classmethod
    def of_outcomes(cls, good_ratio: float, bad_ratio: float) -> Self:
        """Make the table that looks at outcomes alone.

        Args:
            good_ratio: success probability of a good policy.
            bad_ratio: the one that shall be noticed.

        Raises:
            ValueError: they are no such probabilities.
        """
        if not 0.0 < bad_ratio < good_ratio < 1.0:
            raise ValueError("evidence: it takes 0 < bad_ratio < good_ratio < 1")
        return cls(
            (),
            (math.log(bad_ratio / good_ratio),),
            (math.log((1.0 - bad_ratio) / (1.0 - good_ratio)),),
        )

    def weigh(self, risk: float, *, is_placed: bool) -> float:
        """Return the evidence of one attempt [nat]; NaN where the risk is no risk."""
        if not 0.0 <= risk <= 1.0:
            return math.nan
        number = sum(risk >= edge for edge in self.edges)
        return (self.placed_nat if is_placed else self.failed_nat)[number]


@dataclass(frozen=True)
class Chart:
    """One CUSUM: what attempts weigh, and the sum at which it fires.

    Attributes:
        table: of the fall that this chart looks for.
        threshold_nat: computed for a stated false alarm rate, see `run_length`.
        channel: which of the risks of an attempt it looks at.
    """

    table: EvidenceTable
    threshold_nat: float
    channel: int = 0

    def __post_init__(self) -> None:
        """Refuse what would never fire, or at once.

        Raises:
            ValueError: the threshold is not within 0..50 nat, the channel is none, or
                failures do not fire the chart, whatever the network sees in them.
        """
        if self.channel < 0:
            raise ValueError("channel must be 0 at least")
        if not 0.0 < self.threshold_nat <= THRESHOLD_MAX_NAT:
            raise ValueError(
                f"threshold_nat must lie above 0 and up to {THRESHOLD_MAX_NAT}"
            )
        # Weights rise with the risk, so the first is the least a failure can weigh.
        if self.table.failed_nat[0] * FAILURES_MAX < self.threshold_nat:
            raise ValueError(
                f"threshold_nat {self.threshold_nat} is not reached by {FAILURES_MAX} "
                f"failures in a row of failed_nat {self.table.failed_nat[0]}"
            )

    def weigh(self, risks: Sequence[float], *, is_placed: bool) -> float:
        """Return what an attempt weighs here [nat]; NaN where its risk is missing."""
        if self.channel >= len(risks):
            return math.nan
        return self.table.weigh(risks[self.channel], is_placed=is_placed)


@dataclass(frozen=True)
class FallTest:
    """Charts side by side, one for each kind of fall; it fires when one does.

    The false alarm rates of the charts add up, no more.

    Attributes:
        charts: at least one.
    """

    charts: tuple[Chart, ...]

    def __post_init__(self) -> None:
        """Refuse a test without charts.

        Raises:
            ValueError: there is none.
        """
        if not self.charts:
            raise ValueError("a test needs at least one chart")

    def begin(self) -> "FallState":
        """Return the state before any attempt."""
        return FallState((0.0,) * len(self.charts))

    def resume(self, sums_nat: Sequence[float]) -> "FallState":
        """Return the state of an earlier life; sums of other charts count as none.

        What had fired had led to a withdrawal, so no sum is at its threshold here.
        """
        is_fitting = len(sums_nat) == len(self.charts) and all(
            0.0 <= value < chart.threshold_nat
            for value, chart in zip(sums_nat, self.charts, strict=True)
        )
        return FallState(tuple(sums_nat)) if is_fitting else self.begin()

    def step(
        self, state: "FallState", risks: Sequence[float], *, is_placed: bool
    ) -> "FallState":
        """Return the state after one more attempt. What has fired stays so.

        Args:
            state: before it.
            risks: of the attempt, one for each channel; a missing one is distrusted.
            is_placed: how it ended.
        """
        sums = tuple(
            _add_above_zero(sum_nat, chart.weigh(risks, is_placed=is_placed))
            for sum_nat, chart in zip(state.sums_nat, self.charts, strict=True)
        )
        is_distrusted = any(math.isnan(value) for value in sums)
        # Written so that a sum which is no number fires too.
        is_quiet = all(
            value < chart.threshold_nat
            for value, chart in zip(sums, self.charts, strict=True)
        )
        return FallState(
            sums,
            has_fired=state.has_fired or not is_quiet,
            is_distrusted=state.is_distrusted or is_distrusted,
        )


@dataclass(frozen=True)
class FallState:
    """Where the charts stand.

    Attributes:
        sums_nat: one for each chart; NaN for ever after a number that was none.
        has_fired: success has fallen, or nothing can be said any more.
        is_distrusted: the latter.
    """

    sums_nat: tuple[float, ...]
    has_fired: bool = False
    is_distrusted: bool = False


@dataclass(frozen=True)
class ReturnTest:
    """Wald's test between a policy that is good again and one that is still bad.

    Attributes:
        table: what attempts weigh.
        false_return: probability that a bad policy passes one trial.
        false_refusal: probability that a good one does not.
        attempts_min: fewer attempts never pass.
    """

    table: EvidenceTable
    false_return: float
    false_refusal: float
    attempts_min: int

    def __post_init__(self) -> None:
        """Refuse error rates that are none.

        Raises:
            ValueError: a rate is not within 0..0.5, or no attempt is asked for.
        """
        for name in ("false_return", "false_refusal"):
            if not 0.0 < getattr(self, name) < 0.5:
                raise ValueError(f"{name} must lie between 0 and 0.5")
        if not self.attempts_min >= 1:
            raise ValueError("attempts_min must be 1 at least")

    @property
    def good_nat(self) -> float:
        """Sum at or below which the policy counts as good again."""
        return math.log(self.false_return / (1.0 - self.false_refusal))

    @property
    def bad_nat(self) -> float:
        """Sum at or above which it counts as still bad."""
        return math.log((1.0 - self.false_return) / self.false_refusal)

    def step(
        self, state: "ReturnState", risk: float, *, is_placed: bool
    ) -> "ReturnState":
        """Return the state after one more attempt; a verdict stands."""
        if state.has_passed or state.has_failed:
            return state
        sum_nat = state.sum_nat + self.table.weigh(risk, is_placed=is_placed)
        moved = replace(state, sum_nat=sum_nat, attempts=state.attempts + 1)
        # Written so that a sum which is no number fails.
        if not sum_nat < self.bad_nat:
            return replace(moved, has_failed=True)
        is_enough = moved.attempts >= self.attempts_min
        return replace(moved, has_passed=is_enough and sum_nat <= self.good_nat)


@dataclass(frozen=True)
class ReturnState:
    """Where the way back stands.

    Attributes:
        sum_nat: evidence so far.
        attempts: how many it is made of.
        has_passed: the policy counts as good again.
        has_failed: it counts as still bad, or nothing can be said.
    """

    sum_nat: float = 0.0
    attempts: int = 0
    has_passed: bool = False
    has_failed: bool = False


def _add_above_zero(sum_nat: float, evidence_nat: float) -> float:
    """Return the next CUSUM value; NaN stays NaN, which `max` alone would hide."""
    total = sum_nat + evidence_nat
    return total if math.isnan(total) else max(0.0, total)
