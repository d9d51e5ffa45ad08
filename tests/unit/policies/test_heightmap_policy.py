"""The heightmap policy turns the network's answer into chunks that the bin allows."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cell.contracts.errors import ModelError, PolicyError
from cell.contracts.observation import Abstain, ActionChunk, Observation
from policies.model_directory import read_model_directory
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.onnx_session import OnnxSession
from policies.runtime.worker import make_observation
from policies.runtime.workspace import GraspWorkspace
from tests.fakes.grasp_models import make_frame, make_workspace, write_model

LOW = (-0.06, 0.03, 0.05, 0.05, 0.04)
HIGH = (0.06, -0.03, 0.05, 0.05, 0.06)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


def open_policy(
    directory: Path,
    minimum_score: float = 0.3,
    workspace: GraspWorkspace | None = None,
) -> HeightmapPolicy:
    loaded = read_model_directory(directory)
    return HeightmapPolicy(
        loaded.manifest,
        OnnxSession(loaded),
        workspace or make_workspace(),
        minimum_score,
    )


@dataclasses.dataclass(frozen=True)
class OneBadNumber:
    """A network that is right about every cell but one."""

    score: float = 0.5
    tip_m: float = 0.02

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        shape = inputs["heightmap"].shape
        score, tip_m = np.full(shape, 0.5, "f4"), np.full(shape, 0.02, "f4")
        score[0, 0, 3, 2], tip_m[0, 0, 3, 2] = self.score, self.tip_m
        return {"score": score, "tip": tip_m}


def see(*boxes: tuple[float, float, float, float, float]) -> Observation:
    return make_observation(make_frame(list(boxes), stamp_ns=77))


def bin_xy(chunk: ActionChunk) -> np.ndarray:
    bin_from_base = make_workspace().base_from_bin.inverse()
    position = chunk.steps[-1].base_from_tcp.position_m
    return np.asarray(bin_from_base.apply(position)[:2])


def test_the_best_cell_becomes_pregrasp_and_grasp_pointing_down(model: Path) -> None:
    chunk = open_policy(model).propose(see(LOW, HIGH))

    assert isinstance(chunk, ActionChunk)
    pregrasp, grasp = chunk.steps
    assert chunk.observed_stamp_ns == 77
    assert chunk.model == "tiny-1"
    assert chunk.score == pytest.approx(0.6, abs=0.02)
    assert np.allclose(bin_xy(chunk), HIGH[:2], atol=0.03)
    rise = pregrasp.base_from_tcp.position_m - grasp.base_from_tcp.position_m
    assert np.allclose(rise, [0, 0, 0.1])
    assert np.allclose(grasp.base_from_tcp.as_matrix()[:3, 2], [0, 0, -1])
    # Bin floor, 30 mm below the top, and from the tips up to the tool centre point.
    tip_to_tcp_m = 0.1736 - 0.168
    assert grasp.base_from_tcp.position_m[2] == pytest.approx(
        0.01 + 0.03 + tip_to_tcp_m, abs=0.003
    )


def test_alternatives_lie_apart_and_fall_in_score(model: Path) -> None:
    chunk = open_policy(model).propose(see(LOW, HIGH))

    assert isinstance(chunk, ActionChunk)
    everything = (chunk, *chunk.alternatives)
    scores = [one.score for one in everything]
    places = np.array([bin_xy(one) for one in everything])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert 2 <= len(everything) <= 5
    assert scores == sorted(scores, reverse=True)
    assert gaps[~np.eye(len(places), dtype=bool)].min() > 0.03


def test_excluded_places_are_avoided(model: Path) -> None:
    failed = make_workspace().base_from_bin.apply(np.array([*HIGH[:2], 0.0]))

    chunk = open_policy(model).propose_except(
        see(LOW, (*HIGH[:2], 0.02, 0.02, 0.06)), [(float(failed[0]), float(failed[1]))]
    )

    assert isinstance(chunk, ActionChunk)
    assert np.linalg.norm(bin_xy(chunk) - np.array(HIGH[:2])) > 0.025


def test_an_empty_bin_is_told_apart_from_a_hopeless_one(model: Path) -> None:
    empty = open_policy(model).propose(see())
    hopeless = open_policy(model, minimum_score=0.95).propose(see(LOW))

    assert isinstance(empty, Abstain)
    assert isinstance(hopeless, Abstain)
    assert empty.is_bin_empty
    assert not hopeless.is_bin_empty
    assert "no score above 0.95" in hopeless.reason


def test_a_covered_camera_is_not_an_empty_bin(model: Path) -> None:
    frame = make_frame([LOW])
    covered = dataclasses.replace(frame, depth_m=np.zeros_like(frame.depth_m))

    answer = open_policy(model).propose(make_observation(covered))

    assert isinstance(answer, Abstain)
    assert not answer.is_bin_empty
    assert "sees only" in answer.reason


def test_an_observation_without_valid_depth_is_refused(model: Path) -> None:
    answer = open_policy(model).propose(dataclasses.replace(see(LOW), valid={}))

    assert isinstance(answer, Abstain)
    assert not answer.is_bin_empty


def test_no_grasp_reaches_into_a_wall(model: Path) -> None:
    workspace = make_workspace()
    policy = open_policy(model, minimum_score=0.0, workspace=workspace)
    heights = np.full((16, 16), 0.05, np.float32)

    score, tip_m = policy.run_network(heights)

    cells = np.flatnonzero(score > 0)
    grasps = policy.pick(cells, score, tip_m)
    lowest = workspace.compute_lowest_tips_m(grasps.x_m, grasps.y_m, 0.0, 0.085)
    assert len(cells)
    assert (grasps.tip_m >= lowest - 1e-6).all()
    assert (np.abs(grasps.x_m) < 0.2).all()


def test_yaw_is_chosen_near_the_preferred_one(model: Path) -> None:
    turned = dataclasses.replace(make_workspace(), preferred_yaw_rad=3.0)

    chunk = open_policy(model, workspace=turned).propose(see(HIGH))

    assert isinstance(chunk, ActionChunk)
    # Yaw 0 and pi are the same grasp for two equal fingers; 3.0 is nearer to pi.
    assert chunk.steps[0].base_from_tcp.as_matrix()[0, 0] == pytest.approx(-1.0)


def test_a_model_for_another_grid_or_gripper_is_refused(model: Path) -> None:
    with pytest.raises(ModelError, match=r"cell\.heightmap says 32 of"):
        open_policy(model, workspace=make_workspace(32, 0.012))
    longer = dataclasses.replace(make_workspace().fingers, closed_tip_m=0.2)
    with pytest.raises(ModelError, match="this gripper has"):
        open_policy(
            model, workspace=dataclasses.replace(make_workspace(), fingers=longer)
        )


@pytest.mark.parametrize(
    "session",
    [
        OneBadNumber(score=float("nan")),
        OneBadNumber(score=float("inf")),
        OneBadNumber(score=1.01),
        OneBadNumber(score=-0.01),
        OneBadNumber(tip_m=float("nan")),
        OneBadNumber(tip_m=float("-inf")),
    ],
)
def test_one_bad_number_condemns_the_whole_answer(
    model: Path, session: OneBadNumber
) -> None:
    manifest = read_model_directory(model).manifest
    policy = HeightmapPolicy(manifest, session, make_workspace(), 0.3)

    with pytest.raises(PolicyError, match="tiny-1 answered with 1 of 256 values"):
        policy.propose(see(LOW))
    with pytest.raises(PolicyError, match="no probability or no height"):
        policy.run_network(np.zeros((16, 16), np.float32))


def test_a_sound_answer_is_used(model: Path) -> None:
    manifest = read_model_directory(model).manifest
    policy = HeightmapPolicy(manifest, OneBadNumber(), make_workspace(), 0.3)

    assert isinstance(policy.propose(see(LOW)), ActionChunk)
