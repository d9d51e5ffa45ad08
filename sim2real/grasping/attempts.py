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
from cell.contracts.observation import Abstain, ActionChunk, Observation
from cell.drivers.gripper.aperture import CLOSED_COUNT
from cell.supervisor.attempt_record import AttemptPhase, AttemptRecord
from cell.supervisor.grasp_plan import PickPlan, spot_of
from cell.supervisor.gripper_station import LEAST_PART_M
from policies.model_directory import read_model_directory
from policies.runtime.guardian_tensors import make_input
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.onnx_session import OnnxSession
from policies.training.attempt_samples import AttemptSamples, write_attempts
from sim2real.grasping.bin_life import BinLife, BinView, Choice, Point
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
from sim2real.grasping.overhead_view import OverheadCamera
from sim2real.grasping.setup import GraspingSetup, load_setup
from sim2real.grasping.trial import FingerPostures, Outcome
from sim2real.scene.build import Scene
from sim2real.scene.force_noise import FORCE_DRIFT_N, FORCE_SIGMA_N
from sim2real.scene.gripper import MAX_APERTURE_M, compute_aperture_m
from sim2real.virtual_cell.world_contacts import ContactReader, FlangeSensor
from sim2real.virtual_cell.world_servo import STROKE_M

LOOKS: Final = 20
"""Into one bin: in so many it is picked down and filled up again twice."""

WORSE_STATES: Final = 2
"""Tried from each view, beside the pick of the healthy cell."""

_TRIES_WORSE: Final = 2
_ROUNDS: Final = 9
"""In each, every family comes up once: enough for 36 looks."""

_SHARD_WORD: Final = 0x6A2E
_APERTURE_STEP_M: Final = STROKE_M / CLOSED_COUNT
"""One count of the position register, as the gripper's driver reads it."""

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
        scenes: how many; each is a bin with its own parts.
        looks: into each bin.
    """

    config: Path
    model: Path
    path: Path
    seed: int
    first_scene: int
    scenes: int
    looks: int = LOOKS


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
        counts = min(max(round(aperture_m / _APERTURE_STEP_M), 0), CLOSED_COUNT)
        seen_m = counts * _APERTURE_STEP_M
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
    known: list[FingerPostures] = []

    def make_postures(scene: Scene) -> FingerPostures:
        if not known:
            openings_m = {*desk.apertures_m, MAX_APERTURE_M}
            known.append(FingerPostures(scene, tuple(sorted(openings_m))))
        return known[0]

    rows: list[_Row] = []
    with OverheadCamera() as camera:
        for number in range(task.first_scene, task.first_scene + task.scenes):
            words = (_SHARD_WORD, task.seed, number)
            rng = np.random.default_rng(np.random.SeedSequence(words))
            life = BinLife(setup, camera, make_postures, rng)
            rows += _record_life(desk, life, number, words, task.looks)
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
        # In a worse cell a picture may be unlike the training inputs, and the worker
        # would not have it answered; what comes of an answer is to be learned here.
        manifest = loaded.manifest.model_copy(update={"novelty": None})
        session = OnnxSession(loaded)
        self._bad = BadlyRankingSession(session)
        self._live, self._misled = (
            HeightmapPolicy(manifest, one, setup.workspace, setup.minimum_score)
            for one in (session, self._bad)
        )
        self.setup = setup
        self.apertures_m = tuple(float(a) for a in self._live.apertures_m)

    def ask(
        self, picture: Observation, exclude_base_m: Sequence[Point]
    ) -> ActionChunk | Abstain:
        """Return what the live policy answers."""
        return self._live.propose_except(picture, exclude_base_m)

    def ask_worse(
        self, view: BinView, condition: Condition, rng: np.random.Generator
    ) -> ActionChunk | Abstain:
        """Return what is proposed in a worse state of the cell."""
        if condition.family is Family.POOR_RANKING:
            self._bad.severity, self._bad.rng = condition.severity, rng
            return self._misled.propose(view.observation)
        if condition.family not in _SEES_ANOTHER_VIEW:
            return view.answer
        return self._live.propose(disturb_view(view.observation, condition, rng))


def _record_life(
    desk: _Desk, life: BinLife, number: int, words: tuple[int, ...], looks: int
) -> list[_Row]:
    """Pick as the healthy cell does; before each pick, try it in worse states too."""
    rng = np.random.default_rng(np.random.SeedSequence((*words, 1)))
    healthy = Condition(Family.HEALTHY, 0.0)
    rows = []
    # Each family comes up as often as any other, in views of every filling.
    rounds = [rng.permutation(len(FAMILIES) - 1) + 1 for _ in range(_ROUNDS)]
    order = np.concatenate(rounds)
    for look, view in enumerate(life.look(desk.ask, looks)):
        for family in order[look * WORSE_STATES :][:WORSE_STATES]:
            condition = sample_condition(FAMILIES[family], rng)
            rows += _try_worse(desk, life, view, condition, number, rng)
        row = _try_plan(view, life.scene, view.plan, healthy, number, rng)
        if row is not None:
            rows.append(row)
        life.note_end(view, is_placed=row is not None and row.is_placed)
    return rows


def _try_worse(
    desk: _Desk,
    life: BinLife,
    view: BinView,
    condition: Condition,
    number: int,
    rng: np.random.Generator,
) -> list[_Row]:
    """Try what a worse cell would, and once more after a failure, as the cell does."""
    answer = desk.ask_worse(view, condition, rng)
    rows: list[_Row] = []
    if isinstance(answer, Abstain):
        return rows
    choice = Choice(desk.setup, list(life.choice.failed))
    for _ in range(_TRIES_WORSE):
        plan = choice.choose(answer)
        if plan is None:
            break
        row = _try_plan(view, life.scene, plan, condition, number, rng)
        if row is None:
            break
        rows.append(row)
        if row.is_placed:
            break
        choice.failed.append(spot_of(plan.chunk))
    return rows


def _try_plan(
    view: BinView,
    scene: Scene,
    plan: PickPlan,
    condition: Condition,
    number: int,
    rng: np.random.Generator,
) -> _Row | None:
    """Carry a plan out; None where the arm cannot get there.

    What a healthy cell does stays done; anything else is put back.
    """
    chosen = plan.chunk
    record = AttemptRecord(number, chosen, plan.others)
    probe = AttemptProbe(scene, record, rng)
    pregrasp, grasp = disturb_motion(chosen, condition, rng)
    is_healthy = condition.family is Family.HEALTHY
    run = view.trial.run_for_good if is_healthy else view.trial.run
    with disturb_fingers(scene, condition):
        outcome = run(pregrasp, grasp, chosen.steps[-1].aperture_m, probe)
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
