"""The whole training chain, once through and small."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

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


@dataclass
class Finished:
    """A run from beginning to end, for tests that compare with it.

    Attributes:
        work: its work folder.
        output: the model.
        lines: what it said.
    """

    work: Path
    output: Path
    lines: list[str]


@pytest.fixture(scope="module")
def finished(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("straight")
    run = Finished(folder / "work", folder / "model", [])
    config = repository / "config.yaml"
    TrainingRun(PLAN, config, run.work, 1, run.lines.append).run(run.output)
    return run


def test_without_a_finished_run_there_is_nothing_to_export(
    repository: Path, tmp_path: Path
) -> None:
    run = TrainingRun(PLAN, repository / "config.yaml", tmp_path / "work", 1, print)

    with pytest.raises(ModelError, match="no finished training run"):
        run.export(tmp_path / "model")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_training_run_ends_in_a_usable_model_and_resumes(
    repository: Path, tmp_path: Path, finished: Finished
) -> None:
    config, work, output = repository / "config.yaml", finished.work, tmp_path / "m"
    again: list[str] = []

    TrainingRun(PLAN, config, work, 1, again.append).export(output)

    setup = load_setup(config)
    first, second = read_model_directory(finished.output), read_model_directory(output)
    HeightmapPolicy(first.manifest, OnnxSession(first), setup.workspace, 0.3)
    assert first.manifest.seed == 3
    assert first.manifest.metrics["labelled_scenes"] == 8
    assert first.manifest.data_sha256 == second.manifest.data_sha256
    assert first.model_bytes == second.model_bytes
    assert any("round 1: labels 2/2 files" in line for line in finished.lines)
    # Everything was found in the work folder: only the export is repeated.
    assert len(again) == 1
    with pytest.raises(ConfigError, match="another plan"):
        TrainingRun(
            TrainingPlan(PLAN.rounds, seed=4, shard_scenes=2), config, work, 1, print
        )


class InterruptionError(Exception):
    """Stands for Ctrl-C."""


def interrupt_at(words: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if words in line:
            raise InterruptionError

    return say


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_interruptions_and_the_number_of_workers_change_neither_data_nor_weights(
    repository: Path, tmp_path: Path, finished: Finished
) -> None:
    config, broken = repository / "config.yaml", tmp_path / "broken"

    for words in ("round 0: labels 1/2", "round 0: epoch 1/1", "round 1: labels 1/2"):
        run = TrainingRun(PLAN, config, broken, 2, interrupt_at(words))
        with pytest.raises(InterruptionError):
            run.run(tmp_path / "m2")
    TrainingRun(PLAN, config, broken, 2, lambda _line: None).run(tmp_path / "m2")

    first = read_model_directory(finished.output)
    second = read_model_directory(tmp_path / "m2")
    assert first.manifest.data_sha256 == second.manifest.data_sha256
    assert first.model_bytes == second.model_bytes
