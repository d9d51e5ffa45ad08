"""What is counted: attempts, parts, stops and times; restored after a restart."""

import math
import statistics
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from cell.supervisor.causes import Cause

_WINDOW = 512
_Z_95 = 1.959963984540054


@dataclass
class Statistics:
    """Free-running counts and the figures that follow from them.

    Attributes:
        attempts: times the fingers closed on a proposal, or met too much force on
            the way to it.
        picked: attempts that ended with a part in the fingers.
        placed: parts let go in the outfeed, confirmed.
        failed: attempts that were judged and placed nothing.
        lost: those of them whose part left the fingers on the way to the outfeed.
        first_tries: judged attempts that followed a success or the start.
        first_successes: those of them that ended in a placed part.
        manual_assists: stops that demanded a person, other than commanded ones.
        fallback_proposals: grasps taken from the fallback policy.
        refused_chunks: proposals that failed the check before the first step.
        observed_s: time since the first Start, stops included [s].
        stops: how often each cause ended Execute.
    """

    attempts: int = 0
    picked: int = 0
    placed: int = 0
    failed: int = 0
    lost: int = 0
    first_tries: int = 0
    first_successes: int = 0
    manual_assists: int = 0
    fallback_proposals: int = 0
    refused_chunks: int = 0
    observed_s: float = 0.0
    stops: Counter[str] = field(default_factory=Counter)
    _is_first_try: bool = True
    _cycle_s: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _policy_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def note_attempt(self) -> None:
        """Count an attempt; how it ends is another matter."""
        self.attempts += 1

    def note_placed(self, cycle_s: float) -> None:
        """Count a confirmed part and the time since the previous one [s]."""
        self.placed += 1
        self.first_tries += self._is_first_try
        self.first_successes += self._is_first_try
        self._is_first_try = True
        self._cycle_s.append(cycle_s)

    def note_failed(self, *, is_lost: bool) -> None:
        """Count an attempt that placed nothing."""
        self.failed += 1
        self.lost += is_lost
        self.first_tries += self._is_first_try
        self._is_first_try = False

    def note_policy(self, milliseconds: float) -> None:
        """Record what one proposal took [ms]."""
        self._policy_ms.append(milliseconds)

    def note_stop(self, cause: Cause, *, is_assist: bool) -> None:
        """Count one stop by its first cause."""
        self.stops[cause.value] += 1
        self.manual_assists += is_assist

    def compute_figures(self) -> dict[str, Any]:
        """Return the figures as a JSON-able tree; None where nothing is known."""
        judged = self.placed + self.failed
        ratio = self.first_successes / self.first_tries if self.first_tries else None
        return {
            "placed": self.placed,
            "attempts": self.attempts,
            "picked": self.picked,
            "failed": self.failed,
            "lost": self.lost,
            "first_tries": self.first_tries,
            "first_successes": self.first_successes,
            "first_try_success_ratio": ratio,
            "success_interval": compute_wilson(self.first_successes, self.first_tries),
            "attempt_success_ratio": self.placed / judged if judged else None,
            "picks_per_hour": (
                self.placed * 3600.0 / self.observed_s if self.observed_s > 0 else None
            ),
            "observed_s": round(self.observed_s, 3),
            "cycle_s_p50": _median(self._cycle_s),
            "policy_ms_p50": _median(self._policy_ms),
            "manual_assists": self.manual_assists,
            "fallback_proposals": self.fallback_proposals,
            "refused_chunks": self.refused_chunks,
            "stops_by_reason": dict(self.stops),
        }

    def restore(self, figures: dict[str, Any]) -> None:
        """Take the counts of an earlier life over; unknown or odd entries are left."""
        for name in _RESTORED:
            value = figures.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                setattr(self, name, value)
        observed = figures.get("observed_s")
        if isinstance(observed, int | float) and 0.0 <= observed < math.inf:
            self.observed_s = float(observed)
        stops = figures.get("stops_by_reason")
        if isinstance(stops, dict):
            self.stops = Counter(
                {str(k): v for k, v in stops.items() if isinstance(v, int) and v > 0}
            )


_RESTORED = (
    "attempts",
    "picked",
    "placed",
    "failed",
    "lost",
    "first_tries",
    "first_successes",
    "manual_assists",
    "fallback_proposals",
    "refused_chunks",
)


def compute_wilson(successes: int, trials: int) -> list[float] | None:
    """Return the 95 % score interval of a success probability, None without trials."""
    if trials <= 0:
        return None
    ratio = successes / trials
    spread = _Z_95 * _Z_95 / trials
    centre = ratio + spread / 2
    half = _Z_95 * math.sqrt((ratio * (1 - ratio) + spread / 4) / trials)
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    # The ends are exact by definition; rounding must not put them beside the ratio.
    return [low if successes else 0.0, high if successes < trials else 1.0]


def _median(values: deque[float]) -> float | None:
    return statistics.median(values) if values else None
