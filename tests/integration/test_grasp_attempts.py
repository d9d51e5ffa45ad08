"""Simulated attempts as the cell would measure them, in healthy and worse cells."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.errors import ConfigError, ModelError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Abstain, ActionChunk
from cell.supervisor.attempt_record import AttemptPhase, AttemptRecord
from cell.supervisor.grasp_plan import spot_of
from policies.runtime.guardian_network import load_guardian
from policies.runtime.guardian_tensors import FEATURES
from policies.runtime.scripted_policy import APERTURES_M, ScriptedPolicy
from policies.training.attempt_samples import (
    compute_attempts_digest,
    read_attempts,
)
from policies.training.guardian_fit import GuardianFitPlan
from sim2real.grasping.attempts import (
    WORSE_STATES,
    AttemptProbe,
    AttemptTask,
    make_attempt_shard,
)
from sim2real.grasping.bin_life import BinLife, BinView, Choice
from sim2real.grasping.clutter_scenes import ClutterScene, ClutterSource
from sim2real.grasping.conditions import (
    FAMILIES,
    Condition,
    Family,
    disturb_fingers,
    disturb_motion,
    disturb_view,
)
from sim2real.grasping.guardian_run import GuardianPlan, GuardianRun
from sim2real.grasping.guardian_targets import TRAINED
from sim2real.grasping.overhead_view import OverheadCamera
from sim2real.grasping.setup import GraspingSetup, load_setup
from sim2real.grasping.trial import FingerPostures, Outcome
from sim2real.scene.build import Scene, read_part_positions
from sim2real.scene.gripper import MAX_APERTURE_M


@pytest.fixture(scope="module")
def setup(repository: Path) -> GraspingSetup:
    return load_setup(repository / "config.yaml")


@pytest.fixture(scope="module")
def scene(setup: GraspingSetup) -> Iterator[ClutterScene]:
    with ClutterSource(setup, APERTURES_M) as source:
        yield source.make((4, 2), 6, 6)


@pytest.fixture(scope="module")
def chunk(setup: GraspingSetup, scene: ClutterScene) -> ActionChunk:
    answer = ScriptedPolicy(setup.workspace, 0.25).propose(scene.observation)
    assert not isinstance(answer, Abstain)
    return answer


def try_grasp(
    scene: ClutterScene, chunk: ActionChunk, condition: Condition
) -> tuple[Outcome, AttemptProbe]:
    rng = np.random.default_rng(0)
    probe = AttemptProbe(scene.scene, AttemptRecord(1, chunk), rng)
    pregrasp, grasp = disturb_motion(chunk, condition, rng)
    with disturb_fingers(scene.scene, condition):
        outcome = scene.trial.run(pregrasp, grasp, chunk.steps[-1].aperture_m, probe)
    return outcome, probe


HEALTHY = Condition(Family.HEALTHY, 0.0)


def test_a_part_that_is_lifted_shows_in_the_numbers(
    scene: ClutterScene, chunk: ActionChunk
) -> None:
    outcome, probe = try_grasp(scene, chunk, HEALTHY)
    features = probe.record.finish(1)

    assert outcome is Outcome.SUCCESS
    assert probe.is_placed()
    assert features.grip_m == pytest.approx(features.width_m, abs=0.015)
    assert features.weight_n > 0.2
    assert set(probe.last_m) == set(AttemptPhase)


def test_a_probe_changes_nothing_of_what_happens(
    scene: ClutterScene, chunk: ActionChunk
) -> None:
    first, last = (step.base_from_tcp for step in chunk.steps)
    aperture_m = chunk.steps[-1].aperture_m

    plain = scene.trial.run(first, last, aperture_m)

    assert plain is try_grasp(scene, chunk, HEALTHY)[0]


def test_fingers_without_any_grip_lose_the_part_and_are_put_back(
    scene: ClutterScene, chunk: ActionChunk
) -> None:
    model = scene.scene.model
    before = np.array(model.geom_friction), np.array(model.actuator_forcerange)

    lost, probe = try_grasp(scene, chunk, Condition(Family.SLIPPERY, 3.0))

    assert lost is not Outcome.SUCCESS
    assert not probe.is_placed()
    assert np.array_equal(model.geom_friction, before[0])
    assert np.array_equal(model.actuator_forcerange, before[1])
    assert try_grasp(scene, chunk, HEALTHY)[0] is Outcome.SUCCESS


def test_a_bent_tool_goes_beside_the_part(chunk: ActionChunk) -> None:
    rng = np.random.default_rng(0)
    meant = chunk.steps[-1].base_from_tcp

    _, straight = disturb_motion(chunk, HEALTHY, rng)
    _, bent = disturb_motion(chunk, Condition(Family.BENT_TOOL, 1.0), rng)

    assert np.allclose(straight.position_m, meant.position_m)
    moved = meant.inverse() @ bent
    assert np.allclose(moved.position_m, [0.026, 0.0, 0.0], atol=1e-9)


def test_a_camera_that_moved_shows_everything_beside_its_place(
    scene: ClutterScene,
) -> None:
    rng = np.random.default_rng(0)
    seen = scene.observation.frames["overhead"]
    moved = disturb_view(
        scene.observation, Condition(Family.CAMERA_OFFSET, 1.0), rng
    ).frames["overhead"]

    offset: Pose = moved.base_from_camera
    assert np.hypot(*(offset.position_m - seen.base_from_camera.position_m)[:2]) == (
        pytest.approx(0.026)
    )
    assert np.array_equal(moved.depth_m, seen.depth_m)


def test_a_dirty_lens_takes_depth_away(scene: ClutterScene) -> None:
    rng = np.random.default_rng(0)
    condition = Condition(Family.DIRTY_LENS, 1.0)
    seen = scene.observation.frames["overhead"].depth_m
    dirty = disturb_view(scene.observation, condition, rng).frames["overhead"].depth_m

    assert dirty.shape == seen.shape
    assert 0.15 < np.mean((dirty == 0.0) & (seen > 0.0)) < 0.35


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_shard_is_the_same_each_time_and_a_run_goes_on_from_it(
    repository: Path, tmp_path: Path
) -> None:
    config, model = repository / "config.yaml", repository / "policies/models/heightmap"
    task = AttemptTask(config, model, tmp_path / "a.npz", 7, 3, 1, looks=3)
    counts = make_attempt_shard(task)
    again = AttemptTask(config, model, tmp_path / "b.npz", 7, 3, 1, looks=3)
    make_attempt_shard(again)
    samples = read_attempts(task.path)

    assert compute_attempts_digest(samples) == compute_attempts_digest(
        read_attempts(again.path)
    )
    # What failed in a worse cell was tried once more, elsewhere.
    assert 3 * (1 + WORSE_STATES) <= len(samples) <= 3 * (1 + 2 * WORSE_STATES)
    assert samples.features.shape[1] == len(FEATURES)
    assert set(samples.scene.tolist()) == {3}
    assert counts["healthy attempts"] == (samples.family == 0).sum() == 3

    plan = GuardianPlan(2, 7, shard_scenes=1, looks=2, fit=GuardianFitPlan(steps=1))
    work = tmp_path / "work"
    run = GuardianRun(plan, config, model, work, 1, lambda _line: None)
    with pytest.raises(ModelError, match="2 files of attempts are not recorded"):
        run.export(tmp_path / "model")
    # So few attempts calibrate nothing, but they are kept.
    with pytest.raises(ModelError, match="record more scenes"):
        run.run(tmp_path / "model")
    assert len(list(work.glob("attempts_*.npz"))) == 2
    with pytest.raises(ConfigError, match="another plan"):
        GuardianRun(GuardianPlan(3, 7, shard_scenes=1), config, model, work, 1, print)


# --- the life of a bin ---------------------------------------------------------------


@pytest.fixture
def life(setup: GraspingSetup) -> Iterator[BinLife]:
    def make_postures(scene: Scene) -> FingerPostures:
        return FingerPostures(scene, (*APERTURES_M, MAX_APERTURE_M))

    with OverheadCamera() as camera:
        yield BinLife(setup, camera, make_postures, np.random.default_rng(3))


def pick(view: BinView, *, is_for_good: bool = True) -> bool:
    """Carry a view's plan out; say whether a part is in the fingers at the end."""
    steps = view.plan.chunk.steps
    run = view.trial.run_for_good if is_for_good else view.trial.run
    outcome = run(steps[0].base_from_tcp, steps[-1].base_from_tcp, steps[-1].aperture_m)
    return outcome is Outcome.SUCCESS


def test_a_bin_begins_as_full_as_the_feeder_makes_it_and_is_picked_down_and_filled_up(
    setup: GraspingSetup, life: BinLife
) -> None:
    policy = ScriptedPolicy(setup.workspace, 0.25)
    seen, placed = [], []
    for view in life.look(policy.propose_except, 12):
        placed.append(pick(view))
        seen.append(view.parts)
        life.note_end(view, is_placed=placed[-1])

    assert seen[0] == setup.supply.full
    assert sum(placed) >= 9
    for before, after, is_placed in zip(seen, seen[1:], placed, strict=False):
        was_filled = after >= setup.supply.full - 1 and before < setup.supply.full
        assert was_filled or after <= before - is_placed
    assert min(seen) >= setup.supply.refill_below
    assert max(seen[6:]) > min(seen)


def test_what_is_put_back_leaves_the_bin_as_it_was(
    setup: GraspingSetup, life: BinLife
) -> None:
    policy = ScriptedPolicy(setup.workspace, 0.25)
    view = next(life.look(policy.propose_except, 1))
    before = read_part_positions(life.scene)

    pick(view, is_for_good=False)
    after = read_part_positions(life.scene)
    pick(view)

    assert np.array_equal(before, after)
    assert not np.array_equal(before, read_part_positions(life.scene))


def test_the_cell_goes_elsewhere_after_a_failure_and_leaves_a_spot_alone_in_the_end(
    setup: GraspingSetup, life: BinLife
) -> None:
    policy = ScriptedPolicy(setup.workspace, 0.25)
    answer = next(life.look(policy.propose_except, 1)).answer
    choice = Choice(setup)
    first = choice.choose(answer)
    assert first is not None
    spot = spot_of(first.chunk)

    choice.failed.append(spot)
    second = choice.choose(answer)
    choice.failed += [spot] * (setup.tries[0] - 1)

    assert second is not None
    assert not spot_of(second.chunk).is_same(spot)
    assert (spot.x_m, spot.y_m) in choice.list_exhausted()
    assert first.chunk.score >= second.chunk.score
    assert first.others


def test_the_shipped_guardian_is_one(repository: Path) -> None:
    guardian = load_guardian(repository / "policies" / "models" / "guardian")

    first, *others = guardian.calibration.charts
    assert (first.channel, first.edges) == (0, ())
    assert {chart.channel for chart in others} >= {
        0,
        *(FAMILIES.index(family) for family in TRAINED),
    }
