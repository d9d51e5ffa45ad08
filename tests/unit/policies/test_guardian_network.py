"""The Guardian's network on disk: what is answered, and what is refused, by its key."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from cell.contracts.errors import ModelError, ModelMissingError, PolicyError
from ops.guardian_rules import (
    OUTCOME_FALL,
    make_fall_test,
    make_outcome_test,
    make_rules,
)
from policies.config import GuardianConfig
from policies.model_directory import (
    read_any_directory,
    read_guardian_directory,
    read_model_directory,
)
from policies.runtime.guardian_network import GuardianNetwork, load_guardian
from policies.runtime.guardian_tensors import (
    FEATURES,
    INPUT_NAME,
    OUTPUT_NAMES,
    OUTPUT_SIZES,
    make_input,
)
from safety.guardian import FALLS_CEILING
from safety.sequential_test import EvidenceTable
from tests.fakes import grasp_models
from tests.fakes.guardian_models import (
    CALIBRATION,
    make_features,
    make_manifest,
    make_model_bytes,
    write_guardian,
)


def test_a_network_answers_one_attempt(tmp_path: Path) -> None:
    network = load_guardian(write_guardian(tmp_path))

    firm = network.judge(make_features(7), 99)
    slips = network.judge(make_features(8, lift_slip_m=0.002), 100)

    assert (firm.attempt, firm.stamp_ns) == (7, 99)
    assert firm.next_success == pytest.approx(1 / (1 + math.exp(-3.0)), abs=1e-6)
    assert firm.silent_failure == pytest.approx(1 - firm.next_success, abs=1e-6)
    assert slips.next_success < firm.next_success
    assert slips.troubles == pytest.approx([slips.silent_failure / 2] * 8)
    assert slips.novelty == pytest.approx(2.0, abs=1e-6)
    assert network.name == "tiny-1"
    assert network.calibration == CALIBRATION


def test_every_feature_has_its_own_column() -> None:
    values: dict[str, Any] = {
        name: float(number) for number, name in enumerate(FEATURES)
    }

    row = make_input(make_features(**values))

    assert row.shape == (1, len(FEATURES))
    assert row.dtype == np.float32
    assert row[0].tolist() == list(range(len(FEATURES)))


class NanSession:
    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {
            name: np.full((1, size), np.nan, np.float32)
            for name, size in zip(OUTPUT_NAMES, OUTPUT_SIZES, strict=True)
        }


def test_nonsense_is_handed_on_for_the_guardian_to_distrust() -> None:
    network = GuardianNetwork(make_manifest(make_model_bytes()), NanSession())

    assert math.isnan(network.judge(make_features(), 1).next_success)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"calibration": None}, "calibration: Field required"),
        ({"calibration": {}}, r"calibration\.good_ratio: Field required"),
        ({"family": "heightmap"}, "family"),
        ({"features": ["score"]}, "features: it was trained on others"),
        ({"features": list(reversed(FEATURES))}, "their order"),
        ({"evaluation_sha256": "0"}, "evaluation_sha256"),
        ({"model_sha256": "1" * 64}, "sha256 is"),
        ({"inputs": []}, "inputs"),
    ],
)
def test_a_network_that_is_no_guardian_is_refused_by_its_key(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        load_guardian(write_guardian(tmp_path, **changes))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("good_ratio", 1.0, "good_ratio"),
        ("good_ratio", math.nan, "good_ratio"),
        ("charts", [], "charts"),
        ("novelty_max", 0.0, "novelty_max"),
        # The network never says more, so nothing would be novel.
        ("novelty_max", 64.0, "novelty_max"),
        ("reliability", {"success": []}, r"reliability\.success"),
        ("attempts", 0, "attempts"),
    ],
)
def test_a_senseless_calibration_is_refused_by_its_key(
    key: str, value: Any, words: str, tmp_path: Path
) -> None:
    tree = json.loads(CALIBRATION.model_dump_json()) | {key: value}

    with pytest.raises(ModelError, match=rf"calibration\.{words}"):
        load_guardian(write_guardian(tmp_path, calibration=tree))


@pytest.mark.parametrize("head", ["success", "silent_failure", "next_success"])
def test_a_head_whose_reliability_nobody_measured_is_refused(
    head: str, tmp_path: Path
) -> None:
    tree = json.loads(CALIBRATION.model_dump_json())
    del tree["reliability"][head]

    with pytest.raises(ModelError, match=f"calibration: .*reliability lacks {head};"):
        load_guardian(write_guardian(tmp_path, calibration=tree))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edges": [0.2, 0.4]}, "2 edges need 3 placed_nat"),
        ({"placed_nat": [0.5, -0.3]}, "placed_nat must not fall"),
        ({"edges": [1.2]}, "edges"),
        ({"placed_nat": [-0.3, 7.0]}, "placed_nat"),
        ({"threshold_nat": 0.0}, "threshold_nat"),
        ({"threshold_nat": math.nan}, "threshold_nat"),
        ({"mean_run_length": 0.5}, "mean_run_length"),
        ({"channel": -1}, "channel"),
        ({"channel": 9}, "channel"),
    ],
)
def test_a_chart_that_makes_no_test_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    tree = json.loads(CALIBRATION.model_dump_json())
    tree["charts"][0] |= changes

    with pytest.raises(ModelError, match=words):
        load_guardian(write_guardian(tmp_path, calibration=tree))


def test_edges_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    tree = json.loads(CALIBRATION.model_dump_json())
    tree["charts"][0] |= {
        "edges": [0.4, 0.2],
        "placed_nat": [0.0, 0.0, 0.0],
        "failed_nat": [0.0, 0.0, 0.0],
    }

    with pytest.raises(ModelError, match="edges must rise"):
        load_guardian(write_guardian(tmp_path, calibration=tree))


def test_a_network_of_another_width_is_refused_before_it_is_parsed(
    tmp_path: Path,
) -> None:
    tree = json.loads(make_manifest(b"").model_dump_json())["inputs"]
    tree[0]["shape"] = [1, 3]

    with pytest.raises(ModelError, match="inputs and outputs"):
        load_guardian(write_guardian(tmp_path, b"not a network", inputs=tree))


def test_a_file_that_is_not_what_its_manifest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"input {INPUT_NAME}"):
        load_guardian(write_guardian(tmp_path, make_model_bytes(20)))


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot load"):
        load_guardian(write_guardian(tmp_path, b"nothing"))


def test_no_directory_is_no_guardian(tmp_path: Path) -> None:
    with pytest.raises(
        ModelMissingError, match=r"absent: no such .*policy\.live or guardian\.model"
    ):
        load_guardian(tmp_path / "absent")


def test_a_session_that_fails_says_so(tmp_path: Path) -> None:
    class Failing:
        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            raise PolicyError("the network failed")

    model = read_guardian_directory(write_guardian(tmp_path))

    with pytest.raises(PolicyError):
        GuardianNetwork(model.manifest, Failing()).judge(make_features(), 1)


def test_neither_family_is_taken_for_the_other(tmp_path: Path) -> None:
    guardian = write_guardian(tmp_path / "guardian")
    grasps = grasp_models.write_model(tmp_path / "grasps")

    with pytest.raises(ModelError, match="family"):
        read_model_directory(guardian)
    with pytest.raises(ModelError, match="family"):
        read_guardian_directory(grasps)
    assert read_any_directory(guardian).manifest.name == "tiny"
    assert read_any_directory(grasps).manifest.name == "tiny"


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_what_is_no_manifest_at_all_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)

    with pytest.raises(ModelError, match=r"manifest\.json"):
        read_any_directory(tmp_path)


# --- rules ---------------------------------------------------------------------------


def test_rules_follow_the_calibration() -> None:
    config = GuardianConfig(
        needs_release=True, return_attempts_min=60, uses_features=True
    )
    rules = make_rules(CALIBRATION, config)

    assert rules.needs_release
    assert rules.novelty_max == CALIBRATION.novelty_max
    assert rules.fall.charts[0].threshold_nat == 5.0
    assert rules.fall.charts[0].table.weigh(0.3, is_placed=False) == 1.6
    assert rules.comeback.attempts_min == 60


def test_in_a_cell_that_it_was_not_calibrated_on_only_outcomes_count() -> None:
    rules = make_rules(CALIBRATION, GuardianConfig())

    (chart,) = rules.fall.charts
    assert chart.table == EvidenceTable.of_outcomes(0.95, OUTCOME_FALL)
    assert rules.comeback.table == chart.table


def test_a_calibration_for_a_policy_that_is_never_good_is_refused() -> None:
    calibration = CALIBRATION.model_copy(update={"good_ratio": 0.8})

    with pytest.raises(ModelError, match=r"calibration\.good_ratio"):
        make_rules(calibration, GuardianConfig())


@pytest.mark.parametrize("good_ratio", [0.88, 0.9, 0.95, 0.99])
def test_a_good_policy_may_be_more_or_less_good(good_ratio: float) -> None:
    (chart,) = make_outcome_test(good_ratio).charts

    assert 2.0 < chart.threshold_nat / chart.table.failed_nat[0] < 20.0


@pytest.mark.parametrize(
    "good_ratio",
    [
        *(n / 100 for n in range(-5, 88)),
        *(0.8799, 0.9901, 0.995, 0.9991, 0.9993, 0.9996),
        *(1.0 - 1e-12, 1.0, 1.5, math.nan, math.inf, -math.inf),
    ],
)
def test_a_good_ratio_that_makes_no_test_is_refused_by_its_key(
    good_ratio: float,
) -> None:
    calibration = CALIBRATION.model_copy(update={"good_ratio": good_ratio})

    with pytest.raises(ModelError, match=r"calibration\.good_ratio: .* lie within"):
        make_rules(calibration, GuardianConfig())


@pytest.mark.parametrize("uses_features", [True, False])
@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"novelty_max": math.inf}, "calibration: novelty_max"),
        ({"novelty_max": 0.0}, "calibration: novelty_max"),
        ({"novelty_max": math.nan}, "calibration: novelty_max"),
        ({"charts": ({"placed_nat": (-6.0, -6.0), "failed_nat": (-6.0, -6.0)},)}, ""),
        ({"charts": ({"failed_nat": (-6.0, 6.0)},)}, ""),
        ({"charts": ({"failed_nat": (0.5, 0.5), "threshold_nat": 15.01},)}, ""),
        ({"charts": ({"threshold_nat": 50.0},)}, ""),
        ({"charts": ({"threshold_nat": math.nan},)}, ""),
        ({"charts": ({"edges": (1.0,)},)}, ""),
        ({"charts": ({"edges": ()},)}, ""),
        ({"charts": ({"placed_nat": (1.0, 0.0)},)}, ""),
        ({"charts": ({"placed_nat": (2.0, 2.0)},)}, ""),
        ({"charts": ({"channel": 1},)}, ""),
        ({"charts": ({}, {"failed_nat": (-1.0, 1.6)})}, ""),
        # 0.8 x -0.5 + 0.2 x 1.6 = -0.08, and 0.8 x -0.4 + 0.2 x 1.6 = 0
        ({"charts": ({"placed_nat": (-6.0, -0.5)},)}, ""),
        ({"charts": ({"placed_nat": (-6.0, -0.4)},)}, ""),
        ({"charts": ({}, {"channel": 3, "placed_nat": (-6.0, -6.0)})}, ""),
    ],
)
def test_a_senseless_calibration_is_refused_whatever_decides(
    changes: dict[str, Any], key: str, *, uses_features: bool
) -> None:
    if "charts" in changes:
        plain = CALIBRATION.charts[0]
        charts = tuple(plain.model_copy(update=chart) for chart in changes["charts"])
        changes, key = {"charts": charts}, "calibration.charts"
    calibration = CALIBRATION.model_copy(update=changes)

    with pytest.raises(ModelError, match=key):
        make_rules(calibration, GuardianConfig(uses_features=uses_features))


def test_a_chart_that_the_fall_it_looks_for_would_not_fire_is_named() -> None:
    plain = CALIBRATION.charts[0]
    firing = {"channel": 3, "placed_nat": (-6.0, -0.39)}
    deaf = firing | {"placed_nat": (-6.0, -0.41)}
    charts = [(plain, plain.model_copy(update=change)) for change in (firing, deaf)]
    good, bad = (CALIBRATION.model_copy(update={"charts": one}) for one in charts)

    assert len(make_fall_test(good).charts) == 2
    reason = (
        r"charts: the one of channel 3 and bad_ratio 0\.8 never fires: .*-0\.008 nat"
    )
    with pytest.raises(ModelError, match=reason):
        make_fall_test(bad)


def test_the_configuration_may_only_ask_for_a_person_sooner() -> None:
    assert make_rules(CALIBRATION, GuardianConfig()).falls_max == FALLS_CEILING
    assert make_rules(CALIBRATION, GuardianConfig(falls_max=1)).falls_max == 1
    for falls_max in (0, FALLS_CEILING + 1):
        with pytest.raises(ValidationError, match="falls_max"):
            GuardianConfig(falls_max=falls_max)


@pytest.mark.parametrize("deadline_s", [1e-3, 5.0])
def test_each_deadline_that_may_be_set_makes_rules(deadline_s: float) -> None:
    rules = make_rules(CALIBRATION, GuardianConfig(deadline_s=deadline_s))

    assert rules.answer_patience_ns == round(deadline_s * 1e9)
    with pytest.raises(ValidationError, match="deadline_s"):
        GuardianConfig(deadline_s=1e-10)


def test_outcomes_alone_hold_their_error_rate_and_find_falls() -> None:
    (chart,) = make_outcome_test(0.95).charts
    weights = np.array([chart.table.failed_nat[0], chart.table.placed_nat[0]])
    rng = np.random.default_rng(0)

    def run(success: float, runs: int, attempts: int) -> NDArray[np.float64]:
        """Return when each run fires, NaN where it does not."""
        sums, fired = np.zeros(runs), np.full(runs, np.nan)
        for attempt in range(1, attempts + 1):
            placed = (rng.random(runs) < success).astype(np.intp)
            sums = np.maximum(0.0, sums + weights[placed])
            is_new = np.isnan(fired) & (sums >= chart.threshold_nat)
            fired[is_new] = attempt
        return fired

    alarms = np.sum(~np.isnan(run(0.95, 4000, 1000)))
    assert alarms <= 400
    for success, median, late in ((0.80, 45, 110), (0.50, 15, 30)):
        delays = run(success, 2000, 1000)
        assert np.median(delays) <= median
        assert np.quantile(delays, 0.95) <= late


def test_a_calibration_without_a_chart_of_the_next_attempt_makes_no_test() -> None:
    chart = CALIBRATION.charts[0].model_copy(update={"channel": 1})

    with pytest.raises(ModelError, match=r"calibration\.charts"):
        make_fall_test(CALIBRATION.model_copy(update={"charts": (chart,)}))


def test_a_calibration_in_which_failures_speak_for_health_makes_no_test() -> None:
    chart = CALIBRATION.charts[0].model_copy(update={"failed_nat": (-1.0, -1.0)})

    with pytest.raises(ModelError, match=r"calibration\.charts"):
        make_fall_test(CALIBRATION.model_copy(update={"charts": (chart,)}))
