"""Builds the Guardian's rules from what a verified network says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cell.contracts.errors import ModelError
from cell.contracts.units import ns_from_s
from policies.config import GuardianConfig
from policies.guardian_manifest import Calibration, EvidenceSpec
from safety.guardian import GuardianRules
from safety.run_length import compute_threshold
from safety.sequential_test import Chart, EvidenceTable, FallTest, ReturnTest

FALSE_RETURN: Final = 0.01
FALSE_REFUSAL: Final = 0.05
OUTCOME_FALL: Final = 0.80
"""Success probability that the chart of outcomes alone looks for."""

GOOD_RATIOS: Final = (0.88, 0.99)
"""Success probabilities of a good policy that the chart can tell from that fall. Nearer
to it no threshold keeps the rate; nearer to 1 two failures would decide."""

GOOD_ATTEMPTS_PER_ALARM: Final = 10_000.0
"""False fallbacks of that chart are no more frequent than this."""

_EVIDENCE_LASTS_S: Final = 8 * 3600.0
_CONSTANT_WINDOW: Final = 20
_TRIALS_MAX: Final = 3


def make_rules(calibration: Calibration, config: GuardianConfig) -> GuardianRules:
    """Return the rules that a network's calibration gives.

    Args:
        calibration: of a verified network.
        config: patience, whether features decide, and what a return takes.

    Raises:
        ModelError: they make no sequential test; names the key.
    """
    # Refused even where only outcomes count: it is not the model that it claims to be.
    test = make_fall_test(calibration)
    if not config.uses_features:
        test = make_outcome_test(calibration.good_ratio)
    comeback = ReturnTest(
        test.charts[0].table, FALSE_RETURN, FALSE_REFUSAL, config.return_attempts_min
    )
    with _naming("calibration"):
        return GuardianRules(
            fall=test,
            comeback=comeback,
            answer_patience_ns=ns_from_s(config.deadline_s),
            evidence_lasts_ns=ns_from_s(_EVIDENCE_LASTS_S),
            constant_window=_CONSTANT_WINDOW,
            novelty_max=calibration.novelty_max,
            trials_max=_TRIALS_MAX,
            falls_max=config.falls_max,
            needs_release=config.needs_release,
            agreement_min=config.return_agreement_min,
        )


def make_outcome_test(good_ratio: float) -> FallTest:
    """Return the test that looks at how attempts end, and at nothing else.

    Args:
        good_ratio: success probability of a policy that is as it should be.

    Raises:
        ModelError: it is so near to the fall that is looked for, or to 1, that no test
            tells both apart at the stated rate.
    """
    low, high = GOOD_RATIOS
    with _naming("calibration.good_ratio"):
        if not low <= good_ratio <= high:
            raise ValueError(f"{good_ratio} does not lie within {low}..{high}")
        table = EvidenceTable.of_outcomes(good_ratio, OUTCOME_FALL)
        threshold_nat = compute_threshold(
            (table.placed_nat[0], table.failed_nat[0]),
            (good_ratio, 1.0 - good_ratio),
            GOOD_ATTEMPTS_PER_ALARM,
        )
        return FallTest((Chart(table, threshold_nat),))


def make_fall_test(calibration: Calibration) -> FallTest:
    """Return the test for a fall.

    Raises:
        ModelError: the calibration makes no sequential test.
    """
    with _naming("calibration.charts"):
        charts = tuple(_make_chart(spec) for spec in calibration.charts)
        if charts[0].channel != 0:
            raise ValueError("the first one has to look at the next attempt")
        return FallTest(charts)


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Let numbers that make no test be an error of the model, with their key."""
    try:
        yield
    except ValueError as error:
        raise ModelError(
            f"{key}: {error}; train and export the Guardian again"
        ) from error


def _make_chart(spec: EvidenceSpec) -> Chart:
    """Return one chart.

    Raises:
        ValueError: it would not fire under the very policy that it looks for.
    """
    # Weights rise with the risk, so the last is the most that an attempt can weigh.
    placed_nat, failed_nat = spec.placed_nat[-1], spec.failed_nat[-1]
    drift_nat = spec.bad_ratio * placed_nat + (1.0 - spec.bad_ratio) * failed_nat
    if not drift_nat > 0.0:
        raise ValueError(
            f"the one of channel {spec.channel} and bad_ratio {spec.bad_ratio} never"
            f" fires: such a policy moves it by {drift_nat:.3g} nat an attempt where"
            f" the risk is highest (placed_nat {placed_nat}, failed_nat {failed_nat})"
        )
    table = EvidenceTable(spec.edges, spec.placed_nat, spec.failed_nat)
    return Chart(table, spec.threshold_nat, spec.channel)
