"""Labels grasps in simulated clutter: one shard is one file, one task, one seed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cell.contracts.observation import Abstain
from policies.runtime.candidates import make_chunk
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.loading import load_heightmap_policy
from policies.runtime.scripted_policy import ScriptedPolicy
from policies.training.samples import GraspSamples, write_samples
from sim2real.grasping.clutter_scenes import ClutterScene, ClutterSource
from sim2real.grasping.sampling import SamplingPlan, sample_grasps
from sim2real.grasping.setup import load_setup
from sim2real.grasping.trial import Outcome

PARTS_MIN, PARTS_MAX = 1, 15
_SHARD_WORD = 0x5EED


@dataclass(frozen=True)
class ShardTask:
    """One file of labels to make.

    Attributes:
        config: configuration file.
        model: model directory whose network proposes and gives tip heights.
        path: file to write.
        seed: of the whole training run.
        round: number of the round.
        first_scene: number of the first scene.
        scenes: how many.
        plan: grasps in each scene.
    """

    config: Path
    model: Path
    path: Path
    seed: int
    round: int
    first_scene: int
    scenes: int
    plan: SamplingPlan


def make_shard(task: ShardTask) -> Counter[str]:
    """Label one shard, write it, and count the outcomes."""
    setup = load_setup(task.config)
    policy = load_heightmap_policy(task.model, setup.workspace, 0.0)
    scripted = ScriptedPolicy(setup.workspace, 0.1)
    apertures_m = tuple(float(a) for a in policy.apertures_m)
    outcomes: Counter[str] = Counter()
    rows: list[tuple[float, ...]] = []
    maps: list[NDArray[np.float32]] = []
    with ClutterSource(setup, apertures_m) as source:
        for number in range(task.first_scene, task.first_scene + task.scenes):
            words = (_SHARD_WORD, task.seed, task.round, number)
            scene = source.make(words, PARTS_MIN, PARTS_MAX)
            view = policy.viewer.look(scene.observation, policy.name)
            if isinstance(view, Abstain):
                continue
            rng = np.random.default_rng(np.random.SeedSequence((*words, 1)))
            cells, score, tip_m = sample_grasps(policy, scripted, view, task.plan, rng)
            for cell in cells:
                outcome = _try_cell(policy, scene, cell, score, tip_m)
                outcomes[outcome.value] += 1
                if outcome is not Outcome.UNREACHABLE:
                    label = float(outcome is Outcome.SUCCESS)
                    rows.append((len(maps), *cell, label, float(score[tuple(cell)])))
            maps.append(view.heights_m)
    write_samples(task.path, _to_samples(maps, rows))
    return outcomes


def _try_cell(
    policy: HeightmapPolicy,
    scene: ClutterScene,
    cell: np.ndarray,
    score: np.ndarray,
    tip_m: np.ndarray,
) -> Outcome:
    index = np.array([np.ravel_multi_index(tuple(cell), score.shape)])
    grasp = policy.pick(index, score, tip_m)
    chunk = make_chunk(grasp, [0], policy.workspace, 0, policy.name)
    pregrasp, final = chunk.steps
    return scene.trial.run(
        pregrasp.base_from_tcp, final.base_from_tcp, final.aperture_m
    )


def _to_samples(maps: list[np.ndarray], rows: list[tuple[float, ...]]) -> GraspSamples:
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    whole = table[:, :5].astype(np.int32)
    return GraspSamples(
        heights_m=np.array(maps, dtype=np.float32),
        scene=whole[:, 0],
        angle=whole[:, 1],
        aperture=whole[:, 2],
        row=whole[:, 3],
        col=whole[:, 4],
        success=table[:, 5].astype(np.float32),
        score=table[:, 6].astype(np.float32),
    )
