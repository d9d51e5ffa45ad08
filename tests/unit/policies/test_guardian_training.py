"""Fit, calibration and export of the Guardian, on a made-up cell."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from cell.contracts.errors import ModelError
from policies.guardian_manifest import Calibration
from policies.runtime.guardian_network import load_guardian
from policies.runtime.guardian_tensors import FEATURES, OUTPUT_NAMES
from policies.training.attempt_samples import (
    EVALUATION_FILE,
    AttemptSamples,
    compute_attempts_digest,
    join_attempts,
    read_attempts,
    write_attempts,
)
from policies.training.export import Provenance
from policies.training.guardian_export import export_guardian
from policies.training.guardian_fit import (
    GuardianFitPlan,
    compute_calibration_error,
    compute_states,
    compute_targets,
    fit_guardian,
    measure_reliability,
    predict,
)
from policies.training.guardian_net import KNOWN_AT_CLOSING, GuardianNet
from sim2real.grasping.guardian_calibration import calibrate
from sim2real.grasping.guardian_evaluation import evaluate_guardian
from sim2real.grasping.guardian_run import compute_result_digest
from sim2real.grasping.guardian_targets import Answers
from sim2real.grasping.reliability_chart import write_reliability_chart
from tests.fakes.attempts import make_attempts
from tests.fakes.guardian_models import CALIBRATION, make_features

PLAN = GuardianFitPlan(steps=200)
PROVENANCE = Provenance(
    name="toy",
    version="1",
    seed=0,
    data_sha256="0" * 64,
    git_commit=None,
    metrics={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def fitted() -> tuple[GuardianNet, AttemptSamples]:
    torch.set_num_threads(1)
    return fit_guardian(make_attempts(120, 1), PLAN).network, make_attempts(200, 3)


def test_the_state_of_the_cell_shows_in_what_the_network_expects_next(
    fitted: tuple[GuardianNet, AttemptSamples],
) -> None:
    network, unseen = fitted
    following = predict(network, unseen.features)[:, 2]

    severe = following[unseen.severity > 0.8].mean()
    assert following[unseen.family == 0].mean() > severe + 0.05


def test_the_probabilities_are_calibrated_on_attempts_never_seen(
    fitted: tuple[GuardianNet, AttemptSamples],
) -> None:
    network, unseen = fitted
    outputs = predict(network, unseen.features)
    targets, weights = compute_targets(unseen)

    for column in range(3):
        rows = measure_reliability(
            outputs[:, column], targets[:, column], weights[:, column]
        )
        assert compute_calibration_error(rows) < 0.06


def test_what_is_not_known_at_closing_does_not_enter_the_first_head() -> None:
    network = GuardianNet()
    features = torch.zeros(1, len(FEATURES))
    before = network(features)
    late = [i for i, name in enumerate(FEATURES) if name not in KNOWN_AT_CLOSING]
    features[0, late] = 2.0
    after = network(features)

    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert not torch.equal(before[4], after[4])


def test_novelty_is_one_for_the_usual_and_bounded_for_the_absurd() -> None:
    samples = make_attempts(200)
    healthy = samples.features[samples.family == 0]
    network = GuardianNet()
    network.learn_scale(healthy)

    assert predict(network, healthy)[:, 3].mean() == pytest.approx(1.0, abs=0.05)
    absurd = np.full((1, len(FEATURES)), 1e30, np.float32)
    assert predict(network, absurd)[0, 3] == pytest.approx(64.0)


def test_a_feature_that_is_no_number_makes_an_answer_that_is_none() -> None:
    outputs = predict(GuardianNet(), np.full((1, len(FEATURES)), np.nan, np.float32))

    assert np.isnan(outputs[0, 2])


def test_siblings_of_an_attempt_are_the_others_of_its_state() -> None:
    samples = make_attempts(1)
    one_state = AttemptSamples(
        features=samples.features[:3],
        scene=samples.scene[:3],
        family=np.zeros(3, np.int32),
        severity=np.zeros(3, np.float32),
        is_placed=np.array([True, True, False]),
        is_one=np.array([True, False, False]),
    )

    targets, weights = compute_targets(one_state)

    assert targets[:, 0].tolist() == [1.0, 1.0, 0.0]
    assert targets[:, 1].tolist() == [0.0, 1.0, 0.0]
    assert targets[:, 2].tolist() == [0.5, 0.5, 1.0]
    # A silent failure can only be one of what was counted as placed.
    assert weights[:, 1].tolist() == [1.0, 1.0, 0.0]


def test_an_attempt_without_siblings_teaches_nothing_about_the_next() -> None:
    _, weights = compute_targets(make_attempts(1).select(np.array([5])))

    assert weights[0, 2] == 0.0


def test_the_same_seed_gives_the_same_network() -> None:
    plan = GuardianFitPlan(steps=20)
    samples, unseen = make_attempts(60, 1), make_attempts(40, 2)
    first, second = (fit_guardian(samples, plan) for _ in range(2))

    assert np.array_equal(
        predict(first.network, unseen.features),
        predict(second.network, unseen.features),
    )
    assert np.array_equal(first.outputs, second.outputs)


def test_what_the_tests_are_calibrated_on_comes_from_networks_of_other_scenes() -> None:
    plan = GuardianFitPlan(steps=20)
    samples = make_attempts(60, 1)
    fit = fit_guardian(samples, plan)
    # Of one scene alone the features change: networks fitted to it change, and with
    # them the answers about all others of other parts; its own network never saw it.
    changed = samples.select(np.arange(len(samples)))
    is_one = samples.scene == 7
    changed.features[is_one] += 5.0
    again = fit_guardian(changed, plan)

    troubles = slice(OUTPUT_NAMES.index("novelty") + 1, None)
    own_part = samples.scene % 4 == 7 % 4
    own_rest, others = own_part & ~is_one, ~own_part
    assert np.array_equal(
        fit.outputs[own_rest, troubles], again.outputs[own_rest, troubles]
    )
    assert not np.allclose(
        fit.outputs[others, troubles], again.outputs[others, troubles], atol=1e-4
    )


def test_too_few_scenes_are_refused() -> None:
    with pytest.raises(ValueError, match="too few scenes"):
        fit_guardian(make_attempts(20), PLAN)


def test_failures_of_good_and_worse_cells_have_the_same_say() -> None:
    samples = make_attempts(200)
    state, say = compute_states(samples)

    for chosen in (samples.is_placed, ~samples.is_placed):
        good = say[chosen & (state == 0)].sum()
        assert good == pytest.approx(1.0, rel=1e-4)
        assert say[chosen & (state > 0)].sum() == pytest.approx(1.0, rel=1e-4)
    # Of failures also those of a nearly good cell count as good, of successes not.
    nearly = samples.is_mild & ~samples.is_good
    assert (state[nearly & ~samples.is_placed] == 0).all()
    assert (state[nearly & samples.is_placed] > 0).all()


def test_a_lost_grasp_is_read_by_weights_of_its_own() -> None:
    network = GuardianNet()
    features = torch.zeros(2, len(FEATURES))
    features[1, FEATURES.index("vibration_n")] = 1.0
    before = network.compute_state_logits(features)
    with torch.no_grad():
        network.lost_states.bias.add_(1.0)
    after = network.compute_state_logits(features)

    assert not torch.allclose(before[0], after[0])
    assert torch.equal(before[1], after[1])


# --- files ---------------------------------------------------------------------------


def test_attempts_survive_the_disk(tmp_path: Path) -> None:
    samples = make_attempts(3)
    write_attempts(tmp_path / "a.npz", samples)

    again = read_attempts(tmp_path / "a.npz")

    assert compute_attempts_digest(again) == compute_attempts_digest(samples)
    assert len(join_attempts([again, again])) == 2 * len(samples)
    assert compute_attempts_digest(samples.select(np.arange(5))) != (
        compute_attempts_digest(samples)
    )


def test_attempts_that_cannot_be_used_are_named_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(ModelError, match="no usable attempts"):
        read_attempts(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="delete it"):
        read_attempts(path)
    samples = make_attempts(2)
    np.savez(
        path,
        **{
            name: getattr(samples, name)[:1]
            if name == "scene"
            else getattr(samples, name)
            for name in samples.__dataclass_fields__
        },
    )
    with pytest.raises(ModelError, match="another shape"):
        read_attempts(path)
    samples.features[0, 0] = np.nan
    write_attempts(path, samples)
    with pytest.raises(ModelError, match="no numbers"):
        read_attempts(path)


def test_a_try_that_repeats_a_failed_one_is_no_attempt_to_learn_from() -> None:
    samples = make_attempts(3)
    rows = np.array([0, 1, 3, 3, 4, 4, 4, 5])
    twice = samples.select(rows)

    first = twice.first_tries()

    assert first.scene.tolist() == samples.scene[[0, 1, 3, 4, 5]].tolist()
    assert np.array_equal(first.severity, samples.severity[[0, 1, 3, 4, 5]])
    # Healthy attempts are never taken for repetitions, though all are alike.
    assert len(samples.first_tries()) == len(samples)
    assert len(samples.select(np.array([], np.intp)).first_tries()) == 0


def test_a_second_choice_is_nothing_novel() -> None:
    samples = make_attempts(50)
    column = FEATURES.index("alternatives")
    samples.features[:, column] = 4.0
    network = GuardianNet()
    network.learn_scale(samples.features[samples.is_good])
    usual = samples.features[:1].copy()
    second = usual.copy()
    second[:, column] = 3.0

    novelty = OUTPUT_NAMES.index("novelty")
    rise = predict(network, second)[0, novelty] - predict(network, usual)[0, novelty]

    assert rise == pytest.approx(1.0 / len(FEATURES), abs=1e-4)


# --- export --------------------------------------------------------------------------


def export(
    network: GuardianNet, directory: Path, samples: AttemptSamples,
    calibration: Calibration = CALIBRATION,
) -> float:  # fmt: skip
    return export_guardian(network, directory, PROVENANCE, calibration, samples)


def test_the_exported_graph_computes_what_the_network_does(
    fitted: tuple[GuardianNet, AttemptSamples], tmp_path: Path
) -> None:
    network, unseen = fitted
    difference = export(network, tmp_path, unseen)

    judgement = load_guardian(tmp_path).judge(make_features(), 1)
    row = np.array([[getattr(make_features(), n) for n in FEATURES]], np.float32)
    assert difference < 1e-5
    assert judgement.next_success == pytest.approx(
        predict(network, row)[0, 2], abs=1e-5
    )
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.onnx", "manifest.json", EVALUATION_FILE}


def test_an_export_that_differs_replaces_nothing(tmp_path: Path) -> None:
    export(GuardianNet(), tmp_path, make_attempts(2))
    before = (tmp_path / "manifest.json").read_text()
    broken = GuardianNet()
    broken.mean.fill_(float("nan"))

    with pytest.raises(ModelError, match="keeps what it held"):
        export(broken, tmp_path, make_attempts(2))

    assert (tmp_path / "manifest.json").read_text() == before


def test_the_version_tells_other_weights_and_other_thresholds_apart() -> None:
    torch.manual_seed(3)
    network, other = GuardianNet(), GuardianNet()
    later = CALIBRATION.model_copy(update={"novelty_max": 7.5})

    versions = [
        compute_result_digest("0" * 64, network, CALIBRATION),
        compute_result_digest("1" * 64, network, CALIBRATION),
        compute_result_digest("0" * 64, other, CALIBRATION),
        compute_result_digest("0" * 64, network, later),
    ]

    assert len(set(versions)) == len(versions)
    assert compute_result_digest("0" * 64, network, CALIBRATION) == versions[0]


def test_nothing_to_compare_on_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no attempt to compare"):
        export(GuardianNet(), tmp_path, make_attempts(1).select(np.array([], np.intp)))


# --- the whole chain -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_where_features_tell_the_guardian_is_sooner_than_outcomes_alone(
    fitted: tuple[GuardianNet, AttemptSamples], tmp_path: Path
) -> None:
    network, unseen = fitted
    aside = make_attempts(300, 2)
    answers = Answers(predict(network, aside.features))
    calibration = calibrate(answers, aside, 0, draws=3)
    export(network, tmp_path, unseen, calibration)

    result = evaluate_guardian(tmp_path, 1000, 0, lambda _line: None)

    small, large = result.falls
    assert result.attempts == len(unseen)
    assert small.median < 0.75 * small.outcome_median
    assert large.median <= 15
    assert small.median_interval[0] <= small.median <= small.late
    told = {state.state: state for state in small.states}
    assert told["worn fingers"].is_unseen
    # Where features stay as they were, outcomes alone have to do.
    blind = told["only failures more often"]
    assert blind.median > 0.7 * blind.outcome_median


def test_attempts_that_are_not_those_of_the_manifest_are_refused(
    tmp_path: Path,
) -> None:
    export(GuardianNet(), tmp_path, make_attempts(2))
    write_attempts(tmp_path / EVALUATION_FILE, make_attempts(3))

    with pytest.raises(ModelError, match="not the attempts that the manifest names"):
        evaluate_guardian(tmp_path, 10, 0, lambda _line: None)


def test_too_few_attempts_calibrate_nothing() -> None:
    few = make_attempts(2)
    outputs = np.full((len(few), 12), 0.5, np.float32)

    with pytest.raises(ValueError, match="too few"):
        calibrate(Answers(outputs), few, 0)


def test_the_diagram_shows_every_bin(tmp_path: Path) -> None:
    outputs = np.linspace(0.1, 0.9, 80).astype(np.float32)
    rows = measure_reliability(outputs, outputs, np.ones(80, np.float32))
    path = tmp_path / "chart.svg"

    write_reliability_chart(path, {"success": rows, "empty": ()}, "a <title>")

    text = path.read_text()
    assert text.count("<circle") == len(rows) == 8
    assert "a &lt;title&gt;" in text
