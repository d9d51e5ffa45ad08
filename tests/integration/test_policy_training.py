"""The whole training chain, once through and small."""

from pathlib import Path

import pytest
import torch

from cell.contracts.errors import ConfigError, ModelError
from policies.model_directory import read_model_directory
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.onnx_session import OnnxSession
from sim2real.grasping.sampling import SamplingPlan
from sim2real.grasping.setup import load_setup
from sim2real.grasping.training_run import RoundPlan, TrainingPlan, TrainingRun

PLAN = TrainingPlan(
    (
        RoundPlan(4, SamplingPlan(0, 0, 3, 3), 1),
        RoundPlan(4, SamplingPlan(2, 2, 0, 1), 1),
    ),
    seed=3,
    shard_scenes=2,
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_small_training_run_ends_in_a_usable_model_and_resumes(
    repository: Path, tmp_path: Path
) -> None:
    config, work, output = repository / "config.yaml", tmp_path / "work", tmp_path / "m"
    torch.set_num_threads(1)
    lines: list[str] = []
    run = TrainingRun(PLAN, config, work, 1, lines.append)
    with pytest.raises(ModelError, match="no finished training run"):
        run.export(output)

    run.run(output)
    again: list[str] = []
    TrainingRun(PLAN, config, work, 1, again.append).export(tmp_path / "m2")

    setup = load_setup(config)
    first, second = read_model_directory(output), read_model_directory(tmp_path / "m2")
    HeightmapPolicy(first.manifest, OnnxSession(first), setup.workspace, 0.3)
    assert first.manifest.seed == 3
    assert first.manifest.metrics["labelled_scenes"] == 8
    assert first.manifest.data_sha256 == second.manifest.data_sha256
    assert first.model_bytes == second.model_bytes
    assert any("round 1: labels 2/2 files" in line for line in lines)
    # Everything was found in the work folder: only the export is repeated.
    assert len(again) == 1
    with pytest.raises(ConfigError, match="another plan"):
        TrainingRun(
            TrainingPlan(PLAN.rounds, seed=4, shard_scenes=2), config, work, 1, print
        )
