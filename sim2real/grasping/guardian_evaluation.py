"""How soon the Guardian finds a fall, beside the best test of outcomes alone.

Runs are drawn from attempts that nothing was fitted to. The other side may pick its
design for each fall, knowing the fall, and is set to the stated false alarm rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ModelError
from ops.guardian_rules import make_fall_test
from policies.guardian_manifest import Calibration
from policies.model_directory import read_guardian_directory
from policies.runtime.guardian_network import GuardianNetwork
from policies.runtime.guardian_tensors import INPUT_NAME, OUTPUT_NAMES
from policies.runtime.onnx_session import OnnxSession
from policies.training.attempt_samples import (
    EVALUATION_FILE,
    AttemptSamples,
    compute_attempts_digest,
    read_attempts,
)
from safety.run_length import compute_threshold
from safety.sequential_test import Chart, EvidenceTable, FallTest
from sim2real.grasping.attempt_pools import (
    SAME_LOOK,
    AttemptPool,
    make_good_pool,
    make_worse_pools,
)
from sim2real.grasping.conditions import FAMILIES, UNSEEN, Family
from sim2real.grasping.guardian_results import (
    FallResult,
    GuardianEvaluation,
    Interval,
    StateResult,
    find_missed,
)
from sim2real.grasping.guardian_streams import (
    LIMIT,
    StreamPlan,
    count_false_alarms,
    make_detector,
    measure_delays,
)
from sim2real.grasping.guardian_targets import (
    BAD_RATIOS,
    GOOD_ATTEMPTS_PER_ALARM,
    TRAINED,
    Answers,
)

_DESIGNS: Final = (0.40, 0.50, 0.60, 0.70, 0.75, 0.80, 0.85)
_FINE_NAT: Final = 0.01
_RESAMPLINGS: Final = 40
_RESAMPLED_RUNS: Final = 400
_GOOD_ATTEMPTS: Final = 600


def evaluate_guardian(
    directory: Path, runs: int, seed: int, say: Callable[[str], None]
) -> GuardianEvaluation:
    """Judge a Guardian on streams drawn from the attempts beside its model.

    Args:
        directory: of the model.
        runs: for each fall.
        seed: of what is drawn.
        say: receives lines of progress.

    Raises:
        ModelError: the model or its attempts cannot be used.
    """
    model = read_guardian_directory(directory)
    samples = read_attempts(directory / EVALUATION_FILE)
    if compute_attempts_digest(samples) != model.manifest.evaluation_sha256:
        raise ModelError(
            f"{directory / EVALUATION_FILE}: not the attempts that the manifest names; "
            "restore it or train the Guardian again"
        )
    session = OnnxSession(model)
    network = GuardianNetwork(model.manifest, session)
    bench = _Bench(network.calibration, samples, _ask(session, samples), seed)
    falls = []
    for bad_ratio in BAD_RATIOS:
        say(f"fall to {bad_ratio:.0%}: {runs} runs")
        falls.append(bench.judge_fall(bad_ratio, runs))
    say("false alarms")
    alarms, outcome_alarms, good_attempts = bench.judge_alarms(runs)
    summary = GuardianEvaluation(
        guardian=network.name,
        attempts=len(samples),
        good_attempts=good_attempts,
        false_alarms=alarms,
        false_alarm_interval=bench.spread_of_alarms(),
        outcome_false_alarms=outcome_alarms,
        falls=tuple(falls),
        missed=(),
    )
    return replace(summary, missed=find_missed(summary))


class _Bench:
    """Both sides, set up once."""

    def __init__(
        self,
        calibration: Calibration,
        samples: AttemptSamples,
        answers: Answers,
        seed: int,
    ) -> None:
        self._samples, self._seed = samples, seed
        self._good_ratio = calibration.good_ratio
        try:
            self._healthy = make_good_pool(samples)
        except ValueError as error:
            raise ModelError(f"evaluation attempts: {error}") from error
        risk = answers.risks(calibration.novelty_max)
        self._guardian = make_detector(
            "guardian", make_fall_test(calibration), risk, samples.is_placed
        )
        self._outcomes = [
            make_detector(
                f"{design}",
                _make_outcome_test(calibration.good_ratio, design),
                risk,
                samples.is_placed,
            )
            for design in _DESIGNS
        ]
        self._best: dict[float, int] = {}

    def judge_fall(self, bad_ratio: float, runs: int) -> FallResult:
        """Measure both sides on the same runs."""
        pools = make_worse_pools(self._samples, bad_ratio, TRAINED)
        if not pools:
            raise ModelError(f"no recorded state is near a success of {bad_ratio:.0%}")
        rng = np.random.default_rng([self._seed, round(100 * bad_ratio)])
        delays, _ = measure_delays(
            self._plan(pools, bad_ratio, runs), [self._guardian, *self._outcomes], rng
        )
        means = np.minimum(delays[1:], LIMIT).mean(axis=1)
        medians = np.median(delays[1:], axis=1)
        # The lowest median; among equal ones the lowest mean.
        best = int(np.lexsort((means, medians))[0])
        self._best[bad_ratio] = best
        spread = self._resample(pools, bad_ratio, best, rng)
        median, late = _median(delays[0]), _late(delays[0])
        outcome = _median(delays[1 + best])
        return FallResult(
            bad_ratio=bad_ratio,
            runs=runs,
            median=median,
            median_interval=_interval(spread[:, 0]),
            late=late,
            late_interval=_interval(spread[:, 1]),
            outcome_design=_DESIGNS[best],
            outcome_median=outcome,
            outcome_late=_late(delays[1 + best]),
            sooner=round(1.0 - median / outcome, 4),
            sooner_interval=_interval(spread[:, 2]),
            states=self._judge_states(bad_ratio, max(runs // 5, 1000), best, rng),
        )

    def judge_alarms(self, runs: int) -> tuple[int, int, int]:
        """Return false alarms of both sides, and the number of good attempts."""
        best = self._outcomes[self._best[BAD_RATIOS[0]]]
        rng = np.random.default_rng([self._seed, 1])
        alarms = count_false_alarms(
            self._healthy,
            self._good_ratio,
            [self._guardian, best],
            runs,
            _GOOD_ATTEMPTS,
            rng,
        )
        return alarms[0], alarms[1], runs * _GOOD_ATTEMPTS

    def spread_of_alarms(self) -> Interval:
        """Return the interval of false alarms per 10 000 good attempts."""
        rng = np.random.default_rng([self._seed, 2])
        rates = []
        for _ in range(_RESAMPLINGS):
            alarms = count_false_alarms(
                self._healthy.resample(rng),
                self._good_ratio,
                [self._guardian],
                _RESAMPLED_RUNS,
                4 * _GOOD_ATTEMPTS,
                rng,
            )
            rates.append(alarms[0] / (4 * _GOOD_ATTEMPTS * _RESAMPLED_RUNS))
        return _interval(np.array(rates) * GOOD_ATTEMPTS_PER_ALARM)

    def _judge_states(
        self, bad_ratio: float, runs: int, best: int, rng: np.random.Generator
    ) -> tuple[StateResult, ...]:
        families = [family for family in FAMILIES if family is not Family.HEALTHY]
        pools = make_worse_pools(self._samples, bad_ratio, families)
        healthy = self._healthy
        pools.append(
            AttemptPool(SAME_LOOK, healthy.own_ratio, healthy.placed, healthy.failed)
        )
        pair = [self._guardian, self._outcomes[best]]
        results = []
        for pool in pools:
            plan = self._plan([pool], bad_ratio, runs)
            delays, _ = measure_delays(plan, pair, rng)
            results.append(
                StateResult(
                    state=pool.name,
                    is_unseen=pool.name in {family.value for family in UNSEEN},
                    own_ratio=round(pool.own_ratio, 3),
                    median=_median(delays[0]),
                    late=_late(delays[0]),
                    outcome_median=_median(delays[1]),
                )
            )
        return tuple(results)

    def _resample(
        self,
        pools: Sequence[AttemptPool],
        bad_ratio: float,
        best: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return median, late and sooner for attempts drawn anew, a row each."""
        pair = [self._guardian, self._outcomes[best]]
        rows = []
        for _ in range(_RESAMPLINGS):
            plan = StreamPlan(
                self._healthy.resample(rng),
                [pool.resample(rng) for pool in pools],
                self._good_ratio,
                bad_ratio,
                _RESAMPLED_RUNS,
            )
            delays, _ = measure_delays(plan, pair, rng)
            median = _median(delays[0])
            rows.append((median, _late(delays[0]), 1.0 - median / _median(delays[1])))
        return np.array(rows)

    def _plan(
        self, pools: Sequence[AttemptPool], bad_ratio: float, runs: int
    ) -> StreamPlan:
        return StreamPlan(self._healthy, pools, self._good_ratio, bad_ratio, runs)


def _make_outcome_test(good_ratio: float, bad_ratio: float) -> FallTest:
    table = EvidenceTable.of_outcomes(good_ratio, bad_ratio)
    threshold = compute_threshold(
        (*table.placed_nat, *table.failed_nat),
        (good_ratio, 1.0 - good_ratio),
        GOOD_ATTEMPTS_PER_ALARM,
        _FINE_NAT,
    )
    return FallTest((Chart(table, threshold),))


def _ask(session: OnnxSession, samples: AttemptSamples) -> Answers:
    """Return what the shipped model, not the one in training, says of each attempt."""
    rows = []
    for features in samples.features:
        outputs = session.run({INPUT_NAME: features[None]})
        rows.append(np.concatenate([outputs[name][0] for name in OUTPUT_NAMES]))
    return Answers(np.array(rows, dtype=np.float32))


def _median(delays: NDArray[np.int64]) -> float:
    return float(np.median(delays))


def _late(delays: NDArray[np.int64]) -> float:
    return float(np.quantile(delays, 0.95))


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return round(float(low), 3), round(float(high), 3)
