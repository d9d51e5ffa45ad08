"""First-try success of a policy on unseen clutter, with a Wilson interval."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from cell.contracts.observation import Abstain
from policies.config import SCRIPTED
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.loading import load_heightmap_policy, make_fallback
from policies.runtime.scripted_policy import APERTURES_M, ScriptedPolicy
from sim2real.grasping.clutter_scenes import ClutterSource
from sim2real.grasping.parallel import run_tasks
from sim2real.grasping.setup import GraspingSetup, load_setup
from sim2real.grasping.trial import Outcome

PARTS_MIN, PARTS_MAX = 5, 15
_EVALUATION_WORD = 0xE7A1
_BLOCK_SCENES = 10
_Z95 = 1.959964

NO_PROPOSAL = "no_proposal"


@dataclass(frozen=True)
class EvaluationTask:
    """A block of scenes to judge one policy on.

    Attributes:
        config: configuration file.
        policy: `scripted`, or the folder of a model.
        seed: of the evaluation; its scenes never occur in training.
        first_scene: number of the first scene.
        scenes: how many.
    """

    config: Path
    policy: str
    seed: int
    first_scene: int
    scenes: int


@dataclass(frozen=True)
class SceneResult:
    """What happened in one scene.

    Attributes:
        scene: its number.
        parts: parts in the bin.
        outcome: of the first try.
        score: the policy's own belief, 0 without a proposal.
        milliseconds: time to propose.
    """

    scene: int
    parts: int
    outcome: str
    score: float
    milliseconds: float


@dataclass(frozen=True)
class Evaluation:
    """The summary.

    Attributes:
        policy: name and version.
        seed: of the scenes.
        scenes: how many.
        parts: fewest and most parts in the bin of a scene.
        successes: first tries that lifted exactly one part and kept it.
        success_ratio: of all scenes.
        interval: Wilson 95 % interval of it.
        failures: count of each cause.
        policy_ms_p50: median time to propose.
        failed_scenes: numbers of the scenes that failed, with the cause.
    """

    policy: str
    seed: int
    scenes: int
    parts: tuple[int, int]
    successes: int
    success_ratio: float
    interval: tuple[float, float]
    failures: dict[str, int]
    policy_ms_p50: float
    failed_scenes: dict[int, str]

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


def compute_wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a success probability."""
    if trials == 0:
        return 0.0, 1.0
    ratio, z2 = successes / trials, _Z95**2
    centre = (ratio + z2 / (2 * trials)) / (1 + z2 / trials)
    half = (
        _Z95
        / (1 + z2 / trials)
        * math.sqrt(ratio * (1 - ratio) / trials + z2 / (4 * trials**2))
    )
    return max(0.0, centre - half), min(1.0, centre + half)


def evaluate_policy(
    config: Path,
    policy: str,
    scenes: int,
    seed: int,
    workers: int,
    report: Callable[[Evaluation], None],
) -> Evaluation:
    """Try the policy's first proposal in each of many unseen scenes.

    Args:
        config: configuration file.
        policy: `scripted`, or the folder of a model.
        scenes: how many.
        seed: of the scenes.
        workers: processes.
        report: told the summary of all scenes so far, after every block.

    Raises:
        ModelError: the model cannot be used.
    """
    name = _open_policy(load_setup(config), policy).name
    tasks = [
        EvaluationTask(config, policy, seed, first, min(_BLOCK_SCENES, scenes - first))
        for first in range(0, scenes, _BLOCK_SCENES)
    ]
    results: list[SceneResult] = []
    summary = _summarise(name, seed, results)
    for block in run_tasks(judge_block, tasks, workers):
        results = sorted([*results, *block], key=lambda result: result.scene)
        summary = _summarise(name, seed, results)
        report(summary)
    return summary


def judge_block(task: EvaluationTask) -> list[SceneResult]:
    """Judge one block of scenes."""
    setup = load_setup(task.config)
    policy = _open_policy(setup, task.policy)
    with ClutterSource(setup, APERTURES_M) as source:
        last = task.first_scene + task.scenes
        return [
            _judge_scene(policy, source, task.seed, number)
            for number in range(task.first_scene, last)
        ]


def _judge_scene(
    policy: HeightmapPolicy | ScriptedPolicy,
    source: ClutterSource,
    seed: int,
    number: int,
) -> SceneResult:
    scene = source.make((_EVALUATION_WORD, seed, number), PARTS_MIN, PARTS_MAX)
    started_s = perf_counter()
    answer = policy.propose(scene.observation)
    milliseconds = (perf_counter() - started_s) * 1e3
    if isinstance(answer, Abstain):
        return SceneResult(number, scene.parts, NO_PROPOSAL, 0.0, milliseconds)
    pregrasp, grasp = answer.steps
    outcome = scene.trial.run(
        pregrasp.base_from_tcp, grasp.base_from_tcp, grasp.aperture_m
    )
    return SceneResult(number, scene.parts, outcome.value, answer.score, milliseconds)


def _open_policy(setup: GraspingSetup, policy: str) -> HeightmapPolicy | ScriptedPolicy:
    if policy == SCRIPTED:
        return make_fallback(setup.workspace)
    return load_heightmap_policy(Path(policy), setup.workspace, setup.minimum_score)


def _summarise(name: str, seed: int, results: list[SceneResult]) -> Evaluation:
    counts = Counter(result.outcome for result in results)
    successes = counts.pop(Outcome.SUCCESS.value, 0)
    times = sorted(result.milliseconds for result in results)
    return Evaluation(
        policy=name,
        seed=seed,
        scenes=len(results),
        parts=(
            min((result.parts for result in results), default=0),
            max((result.parts for result in results), default=0),
        ),
        successes=successes,
        success_ratio=round(successes / max(1, len(results)), 4),
        interval=compute_wilson_interval(successes, len(results)),
        failures=dict(counts),
        policy_ms_p50=round(times[len(times) // 2], 2) if times else 0.0,
        failed_scenes={
            r.scene: r.outcome for r in results if r.outcome != Outcome.SUCCESS
        },
    )
