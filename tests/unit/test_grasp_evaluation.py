"""Figures of the evaluation, motion profiles, and what the commands refuse."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cell.contracts.errors import ConfigError, ModelError
from ops.exit_codes import ExitCode
from policies.model_directory import read_model_directory
from sim2real.grasping import commands, novelty_fit
from sim2real.grasping.__main__ import main
from sim2real.grasping.evaluation import compute_wilson_interval
from sim2real.grasping.profiles import MotionLimits, compute_profile
from tests.fakes.grasp_models import write_model


@given(trials=st.integers(1, 2000), data=st.data())
def test_the_interval_is_wilsons(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))

    low, high = compute_wilson_interval(successes, trials)

    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-6)
    assert high == pytest.approx(expected.high, abs=1e-6)


def test_without_trials_nothing_is_known() -> None:
    assert compute_wilson_interval(0, 0) == (0.0, 1.0)


@given(length=st.floats(0.01, 2.0))
def test_profiles_start_and_end_at_rest_within_their_limits(length: float) -> None:
    limits = MotionLimits(0.5, 2.5, 25.0)

    along = compute_profile(length, limits, 0.002)

    speed = np.diff(along) / 0.002
    assert along[0] == 0.0
    assert along[-1] == pytest.approx(length, abs=1e-9)
    assert (speed >= -1e-9).all()
    assert speed.max() <= limits.speed + 1e-6
    assert speed[0] < 0.01
    assert speed[-1] < 0.01
    assert np.abs(np.diff(speed) / 0.002).max() <= limits.acceleration + 1e-3


def test_an_unknown_policy_has_no_training(repository: Path) -> None:
    with pytest.raises(ConfigError, match="has no training"):
        commands.train(
            commands.TrainingOptions("telepathy", 0, repository / "config.yaml")
        )


def test_fitting_novelty_again_says_what_a_running_controller_makes_of_it(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fitted = read_model_directory(
        repository / "policies" / "models" / "heightmap"
    ).manifest.novelty
    monkeypatch.setattr(novelty_fit, "refit_novelty", lambda _work, _model: fitted)
    options = commands.TrainingOptions(
        "heightmap", 0, repository / "config.yaml", work=tmp_path
    )

    assert commands.fit_novelty(options) is ExitCode.OK

    said = " ".join(capsys.readouterr().err.split())
    assert "650 training inputs" in said
    assert "within 3600 s its fallback policy takes over" in said
    assert "model_invalid: start Cellward again" in said


def test_only_the_work_folder_of_a_training_run_is_discarded(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").touch()
    options = commands.TrainingOptions(
        "heightmap", 0, repository / "config.yaml", work=tmp_path, is_fresh=True
    )

    with pytest.raises(ConfigError, match="was not made by a training run"):
        commands.train(options)

    assert (tmp_path / "thesis.tex").exists()


def test_a_fresh_run_begins_in_an_empty_folder(
    repository: Path, tmp_path: Path
) -> None:
    options = commands.TrainingOptions(
        "heightmap", 0, repository / "config.yaml", work=tmp_path / "work"
    )
    commands.open_run(options)
    (tmp_path / "work" / "labels_0_00000.npz").touch()
    (tmp_path / "work" / "plan.json").write_text("another plan", encoding="utf-8")

    with pytest.raises(ConfigError, match="--fresh"):
        commands.open_run(options)
    commands.open_run(dataclasses.replace(options, is_fresh=True))

    assert [path.name for path in (tmp_path / "work").iterdir()] == ["plan.json"]


def test_a_quick_run_replaces_no_model_unasked(
    repository: Path, tmp_path: Path
) -> None:
    usual = commands.TrainingOptions(
        "heightmap", 0, repository / "config.yaml", work=tmp_path / "usual"
    )
    quick = dataclasses.replace(usual, work=tmp_path / "quick", is_quick=True)
    named = dataclasses.replace(
        quick, work=tmp_path / "named", output=tmp_path / "model"
    )

    outputs = [commands.open_run(options)[1] for options in (usual, quick, named)]

    assert outputs == [
        repository / "policies" / "models" / "heightmap",
        tmp_path / "quick" / "model",
        tmp_path / "model",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "heightmap", "--scenes", "0"],
        ["evaluate", "heightmap", "--scenes", "-3"],
        ["evaluate", "heightmap", "--scenes", "many"],
        ["evaluate", "heightmap", "--seed", "-1"],
        ["evaluate", "heightmap", "--workers", "-1"],
        ["train", "heightmap", "--seed", "0.5"],
        ["train"],
    ],
)
def test_arguments_that_mean_nothing_are_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == int(ExitCode.USAGE)
    assert "error:" in capsys.readouterr().err


def test_an_unknown_model_cannot_be_evaluated(repository: Path) -> None:
    with pytest.raises(ModelError, match="no such model directory"):
        commands.evaluate("telepathy", 1, 0, repository / "config.yaml", workers=1)


def test_the_list_names_good_and_damaged_models(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "models" / "tiny")
    damaged = write_model(tmp_path / "models" / "worn")
    (damaged / "model.onnx").write_bytes(b"")
    text = (repository / "config.yaml").read_text(encoding="utf-8")
    text = text.replace("policies/models", str(tmp_path / "models"))
    text = text.replace("live: heightmap", "live: tiny")
    config = tmp_path / "config.yaml"
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)

    code = main(["list", "--json", "--config", str(config)])

    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert code is ExitCode.OK
    assert rows["scripted"]["use"] == "fallback"
    assert rows["tiny"]["use"] == "live"
    assert "damaged" in rows["worn"]["error"]
