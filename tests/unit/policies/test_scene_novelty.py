"""A picture unlike the training inputs is not answered; one like them is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from cell.contracts.errors import ModelError
from cell.contracts.observation import Abstain, ActionChunk
from policies.manifest import SceneNovelty
from policies.model_directory import read_model_directory
from policies.runtime.loading import load_heightmap_policy, make_block_frame
from policies.runtime.scene_novelty import FEATURES, NoveltyGauge, compute_features
from policies.runtime.wire import answer_message, parse_answer
from policies.runtime.worker import make_observation
from policies.training.novelty import LEAST_INPUTS, QUANTILE, fit_novelty
from policies.training.samples import GraspSamples, compute_digest, write_samples
from sim2real.grasping.novelty_fit import refit_novelty
from tests.fakes.grasp_models import SIZE_PX, make_workspace, write_model

COUNT = len(FEATURES)


def make_maps(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return heaps of a few blocks on a floor, with noise, shape (count, 16, 16)."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(0.0, 0.001, (count, SIZE_PX, SIZE_PX))
    for heights in maps:
        for _ in range(int(rng.integers(2, 8))):
            row, col = rng.integers(0, SIZE_PX - 4, 2)
            heights[row : row + 4, col : col + 4] += rng.uniform(0.02, 0.05)
    return maps.astype(np.float32)


def make_novelty(**changes: Any) -> SceneNovelty:
    tree: dict[str, Any] = {
        "features": FEATURES,
        "mean": (0.0,) * COUNT,
        "whitening": tuple(tuple(row) for row in np.eye(COUNT).tolist()),
        "quantile": 0.999,
        "threshold": 5.0,
        "fitted": 100,
        "held_out": 100,
    }
    return SceneNovelty.model_validate(tree | changes)


def test_features_say_level_relief_and_roughness() -> None:
    ramp = np.tile(np.arange(16, dtype=np.float32) * 0.001, (16, 1))

    found = dict(zip(FEATURES, compute_features(ramp), strict=True))

    assert found["mean_m"] == pytest.approx(0.0075)
    assert found["highest_m"] == pytest.approx(0.015)
    assert found["quantile_50_m"] == pytest.approx(0.0075)
    # One millimetre a cell along x, nothing along y, and no roughness at all.
    assert found["slope_x_log"] == pytest.approx(np.log(0.001), abs=0.01)
    assert found["slope_y_log"] == pytest.approx(np.log(1e-6), abs=0.01)
    assert found["roughness_log"] == pytest.approx(np.log(1e-6), abs=0.1)
    assert found["mean_00_m"] == pytest.approx(0.0015)
    assert found["mean_03_m"] == pytest.approx(0.0135)
    assert found["mean_30_m"] == pytest.approx(0.0015)


def test_a_score_is_a_distance_in_units_of_the_spread() -> None:
    heights = make_maps(1)[0]
    features = compute_features(heights)
    double = tuple(tuple(row) for row in (2.0 * np.eye(COUNT)).tolist())
    gauge = NoveltyGauge(
        make_novelty(mean=tuple(features - 0.5 * np.eye(COUNT)[3]), whitening=double)
    )

    assert gauge.compute_score(heights) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("score", "is_novel"),
    [(0.0, False), (5.0, False), (5.001, True), (float("nan"), True)],
)
def test_beyond_the_threshold_and_without_a_number_a_picture_is_novel(
    score: float, is_novel: bool
) -> None:
    assert NoveltyGauge(make_novelty()).is_novel(score) is is_novel


def test_a_hole_in_a_heightmap_is_novel() -> None:
    heights = make_maps(1)[0]
    heights[3, 3] = np.nan
    gauge = NoveltyGauge(make_novelty(threshold=1e9))

    assert gauge.is_novel(gauge.compute_score(heights))


def test_statistics_of_other_features_are_refused_with_the_remedy() -> None:
    names = (*FEATURES[:-1], "something_else")

    with pytest.raises(ModelError, match="policy novelty"):
        NoveltyGauge(make_novelty(features=names))


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0.0,) * (COUNT - 1)},
        {"whitening": ((0.0,) * COUNT,) * (COUNT - 1)},
        {"whitening": ((0.0,) * (COUNT - 1),) * COUNT},
        {"mean": (float("nan"),) * COUNT},
        {"threshold": 0.0},
        {"threshold": float("inf")},
    ],
)
def test_arrays_that_make_no_distribution_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_novelty(**changes)


def test_a_fit_accepts_what_it_was_held_out_and_refuses_the_rest() -> None:
    novelty = fit_novelty(make_maps(1000))
    gauge = NoveltyGauge(novelty)
    fresh = make_maps(300, seed=1)

    alarms = [gauge.is_novel(gauge.compute_score(heights)) for heights in fresh]
    noise = np.random.default_rng(2).normal(0.0, 0.02, fresh.shape)
    strange = {
        "noise": fresh + noise.astype(np.float32),
        "tilt": fresh + np.linspace(0.0, 0.1, SIZE_PX, dtype=np.float32),
        "level": fresh + np.float32(0.03),
        "flat": np.full_like(fresh, 0.05),
    }

    assert sum(alarms) <= 6
    for name, maps in strange.items():
        scores = [gauge.compute_score(heights) for heights in maps]
        assert min(scores) > gauge.threshold, name


def test_the_threshold_is_a_quantile_of_what_was_held_out() -> None:
    maps = make_maps(400)
    novelty = fit_novelty(maps)
    gauge = NoveltyGauge(novelty)
    held_out = [gauge.compute_score(heights) for heights in maps[1::2]]

    assert (novelty.fitted, novelty.held_out) == (200, 200)
    assert novelty.quantile == QUANTILE
    expected = np.quantile(held_out, QUANTILE)
    assert novelty.threshold == pytest.approx(expected, rel=1e-3)


def test_too_few_inputs_say_nothing() -> None:
    with pytest.raises(ModelError, match="200 are needed"):
        fit_novelty(make_maps(LEAST_INPUTS - 1))


# --- the policy --------------------------------------------------------------------


def test_a_policy_abstains_from_a_novel_picture_with_score_and_threshold(
    tmp_path: Path,
) -> None:
    workspace = make_workspace()
    observation = make_observation(make_block_frame(workspace))
    strict = json.loads(make_novelty(threshold=1e-3).model_dump_json())
    generous = json.loads(make_novelty(threshold=1e6).model_dump_json())

    def answer(name: str, **manifest: Any) -> ActionChunk | Abstain:
        directory = write_model(tmp_path / name, **manifest)
        return load_heightmap_policy(directory, workspace, 0.1).propose(observation)

    novel = answer("strict", novelty=strict)

    assert isinstance(novel, Abstain)
    assert not novel.is_blind
    assert not novel.is_bin_empty
    assert novel.novelty > novel.novelty_limit == 1e-3
    assert "unlike its training inputs" in novel.reason
    assert isinstance(answer("generous", novelty=generous), ActionChunk)
    assert isinstance(answer("without"), ActionChunk)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float
) -> None:
    workspace = make_workspace()
    novelty = json.loads(make_novelty(threshold=1e6).model_dump_json())
    directory = write_model(tmp_path / "tiny", novelty=novelty)
    policy = load_heightmap_policy(directory, workspace, 0.1)
    monkeypatch.setattr(NoveltyGauge, "compute_score", lambda _self, _heights_m: score)

    answer = policy.propose(make_observation(make_block_frame(workspace)))

    assert isinstance(answer, Abstain)
    assert answer.is_novel
    # Others are refused on the wire, and the whole answer with them.
    told = parse_answer(answer_message(1, answer, 1.0)).answer
    assert isinstance(told, Abstain)
    assert told.is_novel


def test_statistics_that_do_not_fit_make_the_model_unusable(tmp_path: Path) -> None:
    other = make_novelty(features=(*FEATURES[:-1], "other"))
    directory = write_model(tmp_path, novelty=json.loads(other.model_dump_json()))

    with pytest.raises(ModelError, match=r"novelty\.features"):
        load_heightmap_policy(directory, make_workspace(), 0.1)


def test_the_shipped_model_knows_what_it_was_trained_on(repository: Path) -> None:
    manifest = read_model_directory(repository / "policies/models/heightmap").manifest
    assert manifest.novelty is not None
    gauge = NoveltyGauge(manifest.novelty)
    flat = np.zeros((96, 96), np.float32)

    assert manifest.novelty.fitted == manifest.novelty.held_out == 650
    assert gauge.is_novel(gauge.compute_score(flat))


# --- fitting again -----------------------------------------------------------------


def make_samples() -> GraspSamples:
    whole, number = np.zeros(1, np.int32), np.ones(1, np.float32)
    maps = make_maps(LEAST_INPUTS)
    return GraspSamples(maps, whole, whole, whole, whole, whole, number, number)


def test_statistics_are_fitted_again_and_the_weights_stay(tmp_path: Path) -> None:
    samples = make_samples()
    directory = write_model(
        tmp_path / "model", data_sha256=compute_digest(samples), novelty=None
    )
    before = read_model_directory(directory)
    write_samples(tmp_path / "labels_0_00000.npz", samples)

    novelty = refit_novelty(tmp_path, directory)

    after = read_model_directory(directory)
    assert after.manifest.novelty == novelty == fit_novelty(samples.heights_m)
    assert after.model_bytes == before.model_bytes
    assert after.manifest.model_copy(update={"novelty": None}) == before.manifest
    assert sorted(path.name for path in directory.iterdir()) == [
        "manifest.json",
        "model.onnx",
    ]


def test_data_of_another_training_are_refused(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "model")
    write_samples(tmp_path / "labels_0_00000.npz", make_samples())

    with pytest.raises(ModelError, match="name the work folder of its training"):
        refit_novelty(tmp_path, directory)


def test_without_the_data_of_its_training_nothing_is_fitted(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "model")

    with pytest.raises(ModelError, match="holds no labels"):
        refit_novelty(tmp_path, directory)
