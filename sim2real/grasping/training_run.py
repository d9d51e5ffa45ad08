"""The whole training of the heightmap policy: label, fit, label on policy, fit again.

Every step leaves a file in the work folder, so an interrupted run goes on where it was.
Rounds after the first label what the network of the round before believes in; that is
what takes its over-confident mistakes away.
"""

import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from cell.contracts.errors import ConfigError, ModelError
from policies.training.export import Provenance, export_network
from policies.training.fit import (
    FitMetrics,
    FitPlan,
    fit_network,
    read_finished_epochs,
)
from policies.training.network import GraspNetwork
from policies.training.novelty import LEAST_INPUTS, fit_novelty
from policies.training.samples import (
    GraspSamples,
    compute_digest,
    concatenate,
    read_samples,
)
from sim2real.grasping.labels import ShardTask, make_shard
from sim2real.grasping.parallel import run_tasks
from sim2real.grasping.revision import compute_source_digest, read_commit
from sim2real.grasping.sampling import SamplingPlan

NAME = "heightmap"
PLAN_FILE = "plan.json"
_PARITY_SAMPLES = 8
# Sums over threads round differently for each number of them, and the labels of later
# rounds follow the weights: a fixed number keeps both the same on any number of cores.
_FIT_THREADS = 2
# What labels and weights depend on beside the plan; a change makes old ones wrong.
_SOURCES = (
    "sim2real/grasping",
    "sim2real/scene",
    "sim2real/virtual_cell/depth_noise.py",
    "sim2real/virtual_cell/ray_renderer.py",
    "sim2real/virtual_cell/renderer.py",
    "sim2real/virtual_cell/vcamera_optics.py",
    "policies/runtime",
    "policies/training/fit.py",
    "policies/training/network.py",
    "policies/training/patches.py",
    "policies/training/samples.py",
    "cell/contracts/geometry.py",
    "cell/kinematics",
)


@dataclass(frozen=True)
class RoundPlan:
    """One round of labelling and fitting.

    Attributes:
        scenes: clutter scenes to label in.
        sampling: grasps in each.
        epochs: passes over all labels so far.
    """

    scenes: int
    sampling: SamplingPlan
    epochs: int


@dataclass(frozen=True)
class TrainingPlan:
    """All rounds and what makes them repeatable.

    Attributes:
        rounds: in order.
        seed: of data and training.
        shard_scenes: scenes in one file.
    """

    rounds: tuple[RoundPlan, ...]
    seed: int
    shard_scenes: int = 20


DEFAULT_ROUNDS = (
    RoundPlan(400, SamplingPlan(best=0, near_best=0, scripted=5, random=4), 6),
    RoundPlan(400, SamplingPlan(best=4, near_best=3, scripted=0, random=2), 5),
    RoundPlan(500, SamplingPlan(best=5, near_best=3, scripted=0, random=1), 10),
)
QUICK_ROUNDS = (
    RoundPlan(20, SamplingPlan(best=0, near_best=0, scripted=5, random=5), 1),
    RoundPlan(20, SamplingPlan(best=4, near_best=3, scripted=1, random=2), 1),
)
"""Everything once; too little to pick with."""

Say = Callable[[str], None]


def discard_run(work: Path) -> None:
    """Remove the work folder of an earlier run.

    Raises:
        ConfigError: the folder holds something else.
    """
    if not work.exists():
        return
    if not (work / PLAN_FILE).is_file():
        raise ConfigError(
            f"{work} was not made by a training run, so nothing in it is removed; name "
            "another --work folder"
        )
    shutil.rmtree(work)


class TrainingRun:
    """One training run in one work folder."""

    def __init__(
        self, plan: TrainingPlan, config: Path, work: Path, workers: int, say: Say
    ) -> None:
        """Open or continue the work folder.

        Args:
            plan: what to do.
            config: configuration file.
            work: folder of intermediate files.
            workers: processes that make labels; the result does not depend on it.
            say: receives lines of progress.

        Raises:
            ConfigError: the folder belongs to a run with another plan.
        """
        self._plan, self._config, self._work = plan, config, work
        self._workers, self._say = workers, say
        work.mkdir(parents=True, exist_ok=True)
        self._claim()

    def run(self, output: Path) -> FitMetrics:
        """Carry out what is left of the plan and write the model to `output`."""
        network = _make_network(self._plan.seed)
        model = self._work / "model_start"
        self._export(network, model, _no_samples(network), None)
        metrics: FitMetrics | None = None
        shards: list[GraspSamples] = []
        for number, round_plan in enumerate(self._plan.rounds):
            shards += self._label(number, round_plan, model)
            samples = concatenate(shards)
            metrics = self._fit(network, number, round_plan, samples)
            model = self._work / f"model_{number}"
            self._export(network, model, samples, metrics)
        if metrics is None:
            raise ConfigError("the training plan has no rounds")
        difference = self._export(network, output, samples, metrics)
        self._say(f"exported to {output}; parity within {difference:.1e}")
        return metrics

    def export(self, output: Path) -> None:
        """Write the model of a finished run again.

        Raises:
            ModelError: the run in this work folder is not finished.
        """
        last = len(self._plan.rounds) - 1
        epochs = read_finished_epochs(self._checkpoint(last))
        if epochs < self._plan.rounds[last].epochs:
            raise ModelError(
                f"{self._work}: no finished training run of this plan; finish it with "
                "`policy train` first"
            )
        self.run(output)

    def _checkpoint(self, number: int) -> Path:
        return self._work / f"checkpoint_{number}.pt"

    def _label(
        self, number: int, round_plan: RoundPlan, model: Path
    ) -> list[GraspSamples]:
        tasks = [
            ShardTask(
                config=self._config,
                model=model,
                path=self._work / f"labels_{number}_{first:05d}.npz",
                seed=self._plan.seed,
                round=number,
                first_scene=first,
                scenes=min(self._plan.shard_scenes, round_plan.scenes - first),
                plan=round_plan.sampling,
            )
            for first in range(0, round_plan.scenes, self._plan.shard_scenes)
        ]
        missing = [task for task in tasks if not task.path.exists()]
        outcomes: Counter[str] = Counter()
        for done, counted in enumerate(run_tasks(make_shard, missing, self._workers)):
            outcomes += counted
            total, good = outcomes.total(), outcomes["success"]
            self._say(
                f"round {number}: labels {len(tasks) - len(missing) + done + 1}"
                f"/{len(tasks)} files, {total} grasps, {good / max(total, 1):.0%} good"
            )
        return [read_samples(task.path) for task in tasks]

    def _fit(
        self,
        network: GraspNetwork,
        number: int,
        round_plan: RoundPlan,
        samples: GraspSamples,
    ) -> FitMetrics:
        torch.set_num_threads(_FIT_THREADS)

        def report(metrics: FitMetrics) -> None:
            self._say(
                f"round {number}: epoch {metrics.epoch}/{round_plan.epochs} of "
                f"{len(samples)} grasps, loss {metrics.train_loss:.3f}, held out "
                f"{metrics.held_out_loss:.3f} ({metrics.held_out_accuracy:.1%} right)"
            )

        fit_plan = FitPlan(
            epochs=round_plan.epochs, seed=self._plan.seed * 100 + number
        )
        return fit_network(network, samples, fit_plan, self._checkpoint(number), report)

    def _export(
        self,
        network: GraspNetwork,
        directory: Path,
        samples: GraspSamples,
        metrics: FitMetrics | None,
    ) -> float:
        heights_m = samples.heights_m
        is_enough = len(heights_m) >= LEAST_INPUTS
        figures = {} if metrics is None else _figures(metrics, samples)
        digest = compute_digest(samples)
        provenance = Provenance(
            name=NAME,
            version=f"{self._plan.seed}.{digest[:8]}",
            seed=self._plan.seed,
            data_sha256=digest,
            git_commit=read_commit(_SOURCES),
            metrics=figures,
            created_at=datetime.now(UTC).replace(microsecond=0),
            novelty=fit_novelty(heights_m) if is_enough else None,
        )
        maps = [heights_m[i] for i in range(len(heights_m))]
        return export_network(network, directory, provenance, maps[:_PARITY_SAMPLES])

    def _claim(self) -> None:
        path = self._work / PLAN_FILE
        wanted = json.dumps(
            {
                "plan": asdict(self._plan),
                "config": hashlib.sha256(self._config.read_bytes()).hexdigest(),
                "sources": compute_source_digest(_SOURCES),
            },
            indent=2,
        )
        if path.exists() and path.read_text(encoding="utf-8") != wanted:
            raise ConfigError(
                f"{self._work} holds a training run with another plan, configuration "
                "or code; add --fresh to discard it, or name another --work folder"
            )
        path.write_text(wanted, encoding="utf-8")


def _make_network(seed: int) -> GraspNetwork:
    torch.manual_seed(seed)
    return GraspNetwork()


def _no_samples(network: GraspNetwork) -> GraspSamples:
    size = network.shape.size_px
    none = torch.zeros(0, dtype=torch.int32).numpy()
    no_float = torch.zeros(0).numpy()
    flat = torch.zeros(1, size, size).numpy()
    return GraspSamples(flat, none, none, none, none, none, no_float, no_float)


def _figures(metrics: FitMetrics, samples: GraspSamples) -> dict[str, float]:
    figures = {
        "labelled_grasps": float(len(samples)),
        "labelled_scenes": float(len(samples.heights_m)),
        "label_success_ratio": float(samples.success.mean()),
        "held_out_loss": metrics.held_out_loss,
        "held_out_accuracy": metrics.held_out_accuracy,
    }
    # With very few scenes none is held out, and there is nothing to say.
    return {k: round(v, 4) for k, v in figures.items() if math.isfinite(v)}
