"""Streams of attempts drawn from recorded ones, and how soon tests find their fall.

All tests see the same streams. Runs are stepped side by side as arrays; a run is a
cell that works well for a while, and from a stated attempt on works worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safety.sequential_test import FallTest
from sim2real.grasping.attempt_pools import AttemptPool

Floats = NDArray[np.float64]

WARM_UP: Final = 200
"""Good attempts before the fall, so that sums stand where they usually stand."""

LIMIT: Final = 1500
"""Attempts after the fall at which a run is given up."""


@dataclass(frozen=True, eq=False)
class Detector:
    """One test with what each recorded attempt weighs in it.

    Attributes:
        name: for the report.
        weights: shape (charts, attempts) [nat].
        thresholds: shape (charts,) [nat].
    """

    name: str
    weights: Floats
    thresholds: Floats


@dataclass(frozen=True, eq=False)
class StreamPlan:
    """What streams to draw.

    Attributes:
        healthy: attempts before the fall.
        worse: states after it; each run gets one of them, all alike often.
        good_ratio: success before.
        bad_ratio: success after.
        runs: how many.
    """

    healthy: AttemptPool
    worse: Sequence[AttemptPool]
    good_ratio: float
    bad_ratio: float
    runs: int


def make_detector(
    name: str, test: FallTest, risks: Floats, is_placed: NDArray[np.bool_]
) -> Detector:
    """Weigh every recorded attempt, by the very test that the cell runs."""
    rows = risks.tolist()
    weights = [
        [
            chart.weigh(row, is_placed=bool(placed))
            for row, placed in zip(rows, is_placed, strict=True)
        ]
        for chart in test.charts
    ]
    thresholds = np.array([chart.threshold_nat for chart in test.charts])
    return Detector(name, np.array(weights), thresholds)


def measure_delays(
    plan: StreamPlan, detectors: Sequence[Detector], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return how many attempts after the fall each test fired.

    Returns:
        Attempts, shape (detectors, runs), `LIMIT` + 1 where it never did; and the
        number of the state that each run fell into.
    """
    healthy, worse = _Deck([plan.healthy]), _Deck(plan.worse)
    nothing = np.zeros(plan.runs, dtype=np.intp)
    sums = [np.zeros((len(d.thresholds), plan.runs)) for d in detectors]
    for _ in range(WARM_UP):
        drawn = healthy.draw(nothing, plan.good_ratio, rng)
        for row, detector in zip(sums, detectors, strict=True):
            # A false alarm before the fall starts that test again.
            row[:, _advance(row, detector, drawn)] = 0.0
    state = np.arange(plan.runs) % len(plan.worse)
    delays = np.full((len(detectors), plan.runs), LIMIT + 1, dtype=np.int64)
    for attempt in range(1, LIMIT + 1):
        drawn = worse.draw(state, plan.bad_ratio, rng)
        for number, detector in enumerate(detectors):
            has_fired = _advance(sums[number], detector, drawn)
            first = has_fired & (delays[number] > LIMIT)
            delays[number, first] = attempt
        if (delays <= LIMIT).all():
            break
    return delays, state


def count_false_alarms(
    healthy: AttemptPool,
    good_ratio: float,
    detectors: Sequence[Detector],
    runs: int,
    attempts: int,
    rng: np.random.Generator,
) -> list[int]:
    """Return how often each test fired in `runs` x `attempts` good attempts."""
    deck = _Deck([healthy])
    nothing = np.zeros(runs, dtype=np.intp)
    sums = [np.zeros((len(d.thresholds), runs)) for d in detectors]
    alarms = [0] * len(detectors)
    for _ in range(attempts):
        drawn = deck.draw(nothing, good_ratio, rng)
        for number, detector in enumerate(detectors):
            has_fired = _advance(sums[number], detector, drawn)
            alarms[number] += int(has_fired.sum())
            sums[number][:, has_fired] = 0.0
    return alarms


def _advance(
    sums: Floats, detector: Detector, drawn: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Step all runs by one attempt each, in place; returns which of them fire."""
    sums += detector.weights[:, drawn]
    np.maximum(sums, 0.0, out=sums)
    has_fired = (sums >= detector.thresholds[:, None]).any(axis=0)
    return np.asarray(has_fired)


class _Deck:
    """Draws attempts of several pools at once."""

    def __init__(self, pools: Sequence[AttemptPool]) -> None:
        self._rows = [
            _pad([getattr(p, k) for p in pools]) for k in ("placed", "failed")
        ]

    def draw(
        self, state: NDArray[np.intp], ratio: float, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return one attempt for each run, placed with the stated probability."""
        is_placed = rng.random(len(state)) < ratio
        lot = rng.random(len(state))
        (placed, placed_count), (failed, failed_count) = self._rows
        from_placed = placed[state, (lot * placed_count[state]).astype(np.intp)]
        from_failed = failed[state, (lot * failed_count[state]).astype(np.intp)]
        return np.where(is_placed, from_placed, from_failed)


def _pad(
    rows: Sequence[NDArray[np.intp]],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    counts = np.array([len(row) for row in rows], dtype=np.intp)
    table = np.zeros((len(rows), int(counts.max())), dtype=np.intp)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table, counts
