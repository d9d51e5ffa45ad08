"""Records simulated grasp attempts in healthy and worse cells: one shard is one file.

The features are taken by the supervisor's own code from what a cell would measure: tool
force with the noise of the robot's sensor, and the opening in the gripper's steps.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.observation import Abstain, ActionChunk
from cell.supervisor.attempt_record import AttemptPhase, AttemptRecord
from cell.supervisor.gripper_station import LEAST_PART_M
from policies.model_directory import read_model_directory
from policies.runtime.guardian_tensors import make_input
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.onnx_session import OnnxSession
from policies.training.attempt_samples import AttemptSamples, write_attempts
from sim2real.grasping.clutter_scenes import ClutterScene, ClutterSource
from sim2real.grasping.conditions import (
    FAMILIES,
    BadlyRankingSession,
    Condition,
    Family,
    disturb_fingers,
    disturb_motion,
    disturb_view,
    sample_condition,
)
from sim2real.grasping.setup import GraspingSetup, load_setup
from sim2real.grasping.trial import Outcome
from sim2real.scene.build import Scene
from sim2real.scene.force_noise import FORCE_DRIFT_N, FORCE_SIGMA_N
from sim2real.scene.gripper import compute_aperture_m
from sim2real.virtual_cell.world_contacts import ContactReader, FlangeSensor

PARTS_MIN, PARTS_MAX = 4, 14
HEALTHY_RANKS: Final = 3
"""Of the healthy cell the best proposals that lie apart are tried, one by one: this is
what it would come to after the better ones are gone."""

_SHARD_WORD: Final = 0x6A2D
_APERTURE_STEP_M: Final = 0.085 / 230
"""One count of the 2F-85's position register."""

_SEES_ANOTHER_VIEW: Final = (Family.CAMERA_OFFSET, Family.DIRTY_LENS)


@dataclass(frozen=True)
class AttemptTask:
    """One file of attempts to make.

    Attributes:
        config: configuration file.
        model: directory of the heightmap network that proposes.
        path: file to write.
        seed: of the whole run.
        first_scene: number of the first scene.
        scenes: how many.
    """

    config: Path
    model: Path
    path: Path
    seed: int
    first_scene: int
    scenes: int


class AttemptProbe:
    """Measures one attempt as the cell would."""

    def __init__(
        self, scene: Scene, record: AttemptRecord, rng: np.random.Generator
    ) -> None:
        if scene.arm is None:
            raise ValueError("attempts are measured in a scene with an arm")
        self.record = record
        self.last_m: dict[AttemptPhase, float] = {}
        self._scene, self._driver = scene, scene.arm.driver_qpos
        self._contacts, self._flange = ContactReader(scene), FlangeSensor(scene)
        self._rng, self._drift_n = rng, np.zeros(3)

    def look(self, phase: AttemptPhase) -> None:
        """Take a sample of the scene's present state."""
        aperture_m = compute_aperture_m(float(self._scene.data.qpos[self._driver]))
        seen_m = round(aperture_m / _APERTURE_STEP_M) * _APERTURE_STEP_M
        self.record.note(phase, self._sense(), seen_m)
        self.last_m[phase] = seen_m

    def is_placed(self) -> bool:
        """Say whether the cell saw a part in the fingers at every look it takes."""
        looks = (AttemptPhase.CLOSING, AttemptPhase.LIFT, AttemptPhase.TRANSFER)
        return all(self.last_m.get(phase, 0.0) > LEAST_PART_M for phase in looks)

    def _sense(self) -> Vector:
        wrench = self._flange.sense(self._contacts.read().flange_wrench)
        self._drift_n += self._rng.normal(0.0, FORCE_DRIFT_N, 3)
        noise_n = self._rng.normal(0.0, FORCE_SIGMA_N, 3)
        return np.asarray(wrench[:3] + self._drift_n + noise_n)


@dataclass(frozen=True, eq=False)
class _Row:
    features: np.ndarray
    scene: int
    condition: Condition
    is_placed: bool
    is_one: bool


def make_attempt_shard(task: AttemptTask) -> Counter[str]:
    """Record one shard, write it, and count successes as the cell sees them."""
    setup = load_setup(task.config)
    desk = _Desk(setup, task.model)
    rows: list[_Row] = []
    with ClutterSource(setup, desk.apertures_m) as source:
        for number in range(task.first_scene, task.first_scene + task.scenes):
            words = (_SHARD_WORD, task.seed, number)
            scene = source.make(words, PARTS_MIN, PARTS_MAX)
            rng = np.random.default_rng(np.random.SeedSequence((*words, 1)))
            rows += _try_everything(desk, scene, number, rng)
    write_attempts(task.path, _to_samples(rows))
    counts: Counter[str] = Counter()
    for row in rows:
        counts[f"{row.condition.family} attempts"] += 1
        counts[f"{row.condition.family} placed"] += row.is_placed
    return counts


class _Desk:
    """The live policy, and the same with a network that ranks badly."""

    def __init__(self, setup: GraspingSetup, model: Path) -> None:
        loaded = read_model_directory(model)
        session = OnnxSession(loaded)
        self._bad = BadlyRankingSession(session)
        self._live, self._misled = (
            HeightmapPolicy(loaded.manifest, one, setup.workspace, setup.minimum_score)
            for one in (session, self._bad)
        )
        self.apertures_m = tuple(float(a) for a in self._live.apertures_m)

    def propose(
        self, scene: ClutterScene, condition: Condition, rng: np.random.Generator
    ) -> tuple[ActionChunk, ...]:
        """Return proposals, best first; none where it abstains."""
        policy = self._live
        if condition.family is Family.POOR_RANKING:
            policy = self._misled
            self._bad.severity, self._bad.rng = condition.severity, rng
        answer = policy.propose(disturb_view(scene.observation, condition, rng))
        if isinstance(answer, Abstain):
            return ()
        return (answer, *answer.alternatives)


def _try_everything(
    desk: _Desk, scene: ClutterScene, number: int, rng: np.random.Generator
) -> list[_Row]:
    healthy = Condition(Family.HEALTHY, 0.0)
    usual = desk.propose(scene, healthy, rng)
    rows: list[_Row | None] = [
        _try_grasp(scene, usual[rank:], healthy, number, rng)
        for rank in range(min(HEALTHY_RANKS, len(usual)))
    ]
    for family in FAMILIES[1:]:
        condition = sample_condition(family, rng)
        is_same = family not in (*_SEES_ANOTHER_VIEW, Family.POOR_RANKING)
        ways = usual if is_same else desk.propose(scene, condition, rng)
        if ways:
            rank = int(rng.integers(min(HEALTHY_RANKS, len(ways))))
            rows.append(_try_grasp(scene, ways[rank:], condition, number, rng))
    return [row for row in rows if row is not None]


def _try_grasp(
    scene: ClutterScene,
    ways: Sequence[ActionChunk],
    condition: Condition,
    number: int,
    rng: np.random.Generator,
) -> _Row | None:
    """Carry the first way out; None where the arm cannot get there."""
    chosen = ways[0]
    record = AttemptRecord(number, chosen, ways[1:])
    probe = AttemptProbe(scene.scene, record, rng)
    pregrasp, grasp = disturb_motion(chosen, condition, rng)
    with disturb_fingers(scene.scene, condition):
        outcome = scene.trial.run(pregrasp, grasp, chosen.steps[-1].aperture_m, probe)
    if outcome is Outcome.UNREACHABLE:
        return None
    return _Row(
        features=make_input(record.finish(0))[0],
        scene=number,
        condition=condition,
        # A collision stops the robot: whatever the fingers hold is not placed.
        is_placed=probe.is_placed() and outcome is not Outcome.COLLIDED,
        is_one=outcome is Outcome.SUCCESS,
    )


def _to_samples(rows: Sequence[_Row]) -> AttemptSamples:
    return AttemptSamples(
        features=np.array([row.features for row in rows], dtype=np.float32),
        scene=np.array([row.scene for row in rows], dtype=np.int32),
        family=np.array(
            [FAMILIES.index(row.condition.family) for row in rows], dtype=np.int32
        ),
        severity=np.array([row.condition.severity for row in rows], dtype=np.float32),
        is_placed=np.array([row.is_placed for row in rows], dtype=np.bool_),
        is_one=np.array([row.is_one for row in rows], dtype=np.bool_),
    )
