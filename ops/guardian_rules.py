"""Builds the Guardian's rules from what a verified network says of itself."""

from typing import Final

from cell.contracts.errors import ModelError
from cell.contracts.units import ns_from_s
from policies.config import GuardianConfig
from policies.guardian_manifest import Calibration, EvidenceSpec
from safety.guardian import GuardianRules
from safety.sequential_test import Chart, EvidenceTable, FallTest, ReturnTest

FALSE_RETURN: Final = 0.01
FALSE_REFUSAL: Final = 0.05
ELSEWHERE_NOVELTY: Final = 3.0
"""How much further than in training an attempt may be from it before it counts as the
worst, where the model was not calibrated on attempts of the cell itself. A bin that is
picked empty looks other than the freshly filled ones of the training: of 95 attempts in
a healthy virtual cell six were beyond the limit of the training, none beyond this."""

_EVIDENCE_LASTS_S: Final = 8 * 3600.0
_CONSTANT_WINDOW: Final = 20
_TRIALS_MAX: Final = 3


def make_rules(calibration: Calibration, config: GuardianConfig) -> GuardianRules:
    """Return the rules that a network's calibration gives.

    Args:
        calibration: of a verified network.
        config: patience, which charts decide, and what a return takes.

    Raises:
        ModelError: the calibration makes no sequential test.
    """
    test = make_fall_test(calibration)
    novelty_max = calibration.novelty_max
    if not config.trouble_charts:
        # Only what outcomes carry most of holds in a cell that it has not seen.
        test = FallTest(tuple(chart for chart in test.charts if chart.channel == 0))
        novelty_max *= ELSEWHERE_NOVELTY
    return GuardianRules(
        fall=test,
        comeback=ReturnTest(
            test.charts[0].table,
            FALSE_RETURN,
            FALSE_REFUSAL,
            config.return_attempts_min,
        ),
        answer_patience_ns=ns_from_s(config.deadline_s),
        evidence_lasts_ns=ns_from_s(_EVIDENCE_LASTS_S),
        constant_window=_CONSTANT_WINDOW,
        novelty_max=novelty_max,
        trials_max=_TRIALS_MAX,
        needs_release=config.needs_release,
        agreement_min=config.return_agreement_min,
    )


def make_fall_test(calibration: Calibration) -> FallTest:
    """Return the test for a fall.

    Raises:
        ModelError: the calibration makes no sequential test.
    """
    try:
        charts = tuple(_make_chart(spec) for spec in calibration.charts)
        if charts[0].channel != 0:
            raise ValueError("the first one has to look at the next attempt")
        return FallTest(charts)
    except ValueError as error:
        raise ModelError(
            f"calibration.charts: {error}; train and export the Guardian again"
        ) from error


def _make_chart(spec: EvidenceSpec) -> Chart:
    table = EvidenceTable(spec.edges, spec.placed_nat, spec.failed_nat)
    return Chart(table, spec.threshold_nat, spec.channel)
