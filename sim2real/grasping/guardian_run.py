"""The whole training of the Guardian: record attempts, fit, calibrate, export.

Recorded shards stay in the work folder, so an interrupted run goes on where it was.
Scenes are split in two: to learn from and calibrate on, and to evaluate on; what is
evaluated on has never been fitted to by anything.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import torch

from cell.contracts.errors import ConfigError, ModelError
from policies.guardian_manifest import Calibration
from policies.manifest import MANIFEST_NAME
from policies.training.attempt_samples import (
    AttemptSamples,
    compute_attempts_digest,
    join_attempts,
    read_attempts,
)
from policies.training.export import Provenance
from policies.training.guardian_export import export_guardian
from policies.training.guardian_fit import (
    GuardianFitPlan,
    compute_calibration_error,
    fit_guardian,
    predict,
)
from policies.training.guardian_net import GuardianNet
from sim2real.grasping.attempts import LOOKS, AttemptTask, make_attempt_shard
from sim2real.grasping.conditions import FAMILIES, UNSEEN, Family
from sim2real.grasping.guardian_calibration import calibrate, measure_heads
from sim2real.grasping.guardian_targets import Answers
from sim2real.grasping.parallel import run_tasks
from sim2real.grasping.reliability_chart import write_reliability_chart
from sim2real.grasping.revision import compute_source_digest, read_commit

NAME = "guardian"
PLAN_FILE = "plan.json"
CHART_FILE = "reliability.svg"
_FIT_THREADS = 1
# Scene numbers by their last digit; the others are what it is evaluated on.
_TRAIN_DIGITS: Final = (0, 1, 2, 3, 4, 5, 6)
# What attempts depend on beside the plan; a change makes old ones wrong. The fit is
# done anew each time.
_SOURCES: Final = (
    "sim2real/grasping/attempts.py",
    "sim2real/grasping/bin_life.py",
    "sim2real/grasping/conditions.py",
    "sim2real/grasping/trial.py",
    "sim2real/scene",
    "sim2real/virtual_cell/part_flow.py",
    "sim2real/virtual_cell/world_contacts.py",
    "policies/runtime/candidates.py",
    "policies/runtime/fingers.py",
    "policies/runtime/grid_search.py",
    "policies/runtime/heightmap.py",
    "policies/runtime/heightmap_policy.py",
    "policies/runtime/part_width.py",
    "policies/runtime/scene_view.py",
    "policies/runtime/workspace.py",
    "cell/supervisor/attempt_record.py",
    "cell/supervisor/grasp_plan.py",
    "cell/kinematics",
)
# What is made of them depends on more.
_FIT_SOURCES: Final = (
    "policies/training/attempt_samples.py",
    "policies/training/export.py",
    "policies/training/guardian_export.py",
    "policies/training/guardian_fit.py",
    "policies/training/guardian_net.py",
    "safety/run_length.py",
    "safety/sequential_test.py",
    "sim2real/grasping/attempt_pools.py",
    "sim2real/grasping/evidence.py",
    "sim2real/grasping/guardian_calibration.py",
    "sim2real/grasping/guardian_streams.py",
    "sim2real/grasping/guardian_targets.py",
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class GuardianPlan:
    """What to record and fit.

    Attributes:
        scenes: bins, each with its own parts, picked down and filled up again.
        seed: of everything.
        shard_scenes: scenes in one file.
        looks: into each bin.
        fit: how to fit.
    """

    scenes: int
    seed: int
    shard_scenes: int = 2
    looks: int = LOOKS
    fit: GuardianFitPlan = field(default_factory=GuardianFitPlan)


DEFAULT_SCENES = 76
QUICK_SCENES = 20


def compute_result_digest(
    data_sha256: str, network: GuardianNet, calibration: Calibration
) -> str:
    """Return eight digits: the same attempts fitted otherwise are another version."""
    digest = hashlib.sha256(data_sha256.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode() + b"\0" + value.numpy().tobytes())
    digest.update(calibration.model_dump_json().encode())
    return digest.hexdigest()[:8]


class GuardianRun:
    """One training run in one work folder."""

    def __init__(
        self,
        plan: GuardianPlan,
        config: Path,
        heightmap: Path,
        work: Path,
        workers: int,
        say: Say,
    ) -> None:
        """Open or continue the work folder.

        Args:
            plan: what to do.
            config: configuration file.
            heightmap: directory of the network whose grasps are watched.
            work: folder of intermediate files.
            workers: processes that record; the result does not depend on it.
            say: receives lines of progress.

        Raises:
            ConfigError: the folder belongs to a run with another plan.
        """
        self._plan, self._config, self._heightmap = plan, config, heightmap
        self._work, self._workers, self._say = work, workers, say
        work.mkdir(parents=True, exist_ok=True)
        self._claim()

    def run(self, output: Path) -> None:
        """Carry out what is left of the plan and write the model to `output`.

        Raises:
            ModelError: the attempts are too few to calibrate anything, or the export
                failed its comparison.
        """
        self._record()
        self.export(output)

    def export(self, output: Path) -> None:
        """Fit, calibrate and write the model from the attempts that are recorded.

        Raises:
            ModelError: not all of them are.
        """
        missing = [task for task in self._tasks() if not task.path.exists()]
        if missing:
            raise ModelError(
                f"{self._work}: {len(missing)} files of attempts are not recorded yet; "
                "finish the run with `policy train guardian` first"
            )
        samples = join_attempts([read_attempts(task.path) for task in self._tasks()])
        self._fit_and_export(samples.first_tries(), output)

    def _fit_and_export(self, samples: AttemptSamples, output: Path) -> None:
        torch.set_num_threads(_FIT_THREADS)
        known = ~np.isin(samples.family, [FAMILIES.index(one) for one in UNSEEN])
        digit = samples.scene % 10
        learn = samples.select(known & np.isin(digit, _TRAIN_DIGITS))
        evaluation = samples.select(~np.isin(digit, _TRAIN_DIGITS))
        try:
            fit = fit_guardian(learn, self._plan.fit)
            network = fit.network
            calibration = calibrate(Answers(fit.outputs), learn, self._plan.seed)
        except ValueError as error:
            raise ModelError(f"{self._work}: {error}; record more scenes") from error
        known_evaluation = evaluation.select(
            ~np.isin(evaluation.family, [FAMILIES.index(one) for one in UNSEEN])
        )
        heads = measure_heads(
            Answers(predict(network, known_evaluation.features)), known_evaluation
        )
        calibration = calibration.model_copy(update={"reliability": heads})
        good = samples.is_placed[samples.is_good]
        figures = {
            "attempts": float(len(samples)),
            "good_success_ratio": float(good.mean()),
        }
        for name, rows in heads.items():
            figures[f"calibration_error_{name}"] = compute_calibration_error(rows)
        digest = compute_attempts_digest(samples)
        result = compute_result_digest(digest, network, calibration)
        provenance = Provenance(
            name=NAME,
            version=f"{self._plan.seed}.{result}",
            seed=self._plan.seed,
            data_sha256=digest,
            git_commit=read_commit((*_SOURCES, *_FIT_SOURCES)),
            metrics={name: round(value, 4) for name, value in figures.items()},
            created_at=datetime.now(UTC).replace(microsecond=0),
        )
        difference = export_guardian(
            network, output, provenance, calibration, evaluation
        )
        write_reliability_chart(
            output / CHART_FILE, heads, f"{NAME} {provenance.version}, attempts unseen"
        )
        self._say(f"exported to {output}; parity within {difference:.1e}")

    def _tasks(self) -> list[AttemptTask]:
        plan = self._plan
        return [
            AttemptTask(
                config=self._config,
                model=self._heightmap,
                path=self._work / f"attempts_{first:05d}.npz",
                seed=plan.seed,
                first_scene=first,
                scenes=min(plan.shard_scenes, plan.scenes - first),
                looks=plan.looks,
            )
            for first in range(0, plan.scenes, plan.shard_scenes)
        ]

    def _record(self) -> None:
        tasks = self._tasks()
        missing = [task for task in tasks if not task.path.exists()]
        counts: Counter[str] = Counter()
        done = len(tasks) - len(missing)
        for counted in run_tasks(make_attempt_shard, missing, self._workers):
            counts += counted
            done += 1
            self._say(f"attempts: {done}/{len(tasks)} files; {_describe(counts)}")

    def _claim(self) -> None:
        path = self._work / PLAN_FILE
        wanted = json.dumps(
            {
                "plan": asdict(self._plan),
                "heightmap": _digest_of(self._heightmap / MANIFEST_NAME),
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


def _digest_of(path: Path) -> str:
    """Return the digest of a manifest, empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _describe(counts: Counter[str]) -> str:
    """Return the success of each family so far."""
    parts = []
    for family in Family:
        total = counts[f"{family} attempts"]
        if total:
            parts.append(f"{family} {counts[f'{family} placed'] / total:.0%}")
    return ", ".join(parts)
