"""What a policy rehearses on is a view that it judges, not one that it turns down."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cell.contracts.observation import ActionChunk
from policies.config import PolicyConfig
from policies.runtime import heightmap_policy, scripted_policy
from policies.runtime.loading import load_policies, make_block_frame
from policies.runtime.scene_view import BinViewer, SceneView
from policies.runtime.scripted_policy import ScriptedPolicy
from policies.runtime.worker import make_observation
from tests.fakes.grasp_models import make_workspace, write_model

GRIDS = [(96, 0.004), (64, 0.006), (192, 0.002), (16, 0.024)]


@pytest.mark.parametrize(("size_px", "pixel_m"), GRIDS)
def test_the_made_up_view_shows_the_whole_bin(size_px: int, pixel_m: float) -> None:
    workspace = make_workspace(size_px, pixel_m)
    viewer = BinViewer(workspace, "overhead")

    view = viewer.look(make_observation(make_block_frame(workspace)), "any")

    assert isinstance(view, SceneView)


def test_the_scripted_policy_grasps_the_block_of_the_made_up_view() -> None:
    workspace = make_workspace(96, 0.004)
    policy = ScriptedPolicy(workspace, minimum_score=0.25)

    answer = policy.propose(make_observation(make_block_frame(workspace)))

    assert isinstance(answer, ActionChunk)


@pytest.mark.parametrize(
    ("live", "reached"), [("tiny", ["heightmap", "scripted"]), ("absent", ["scripted"])]
)
def test_whoever_may_have_to_answer_has_chosen_a_grasp_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: str, reached: list[str]
) -> None:
    chosen: list[str] = []

    def watch(module: ModuleType, kernel: str, name: str) -> None:
        original = getattr(module, kernel)

        def note(*arguments: Any) -> Any:
            chosen.append(name)
            return original(*arguments)

        monkeypatch.setattr(module, kernel, note)

    watch(heightmap_policy, "choose_apart", "heightmap")
    watch(scripted_policy, "select_apart", "scripted")
    write_model(tmp_path / "tiny")

    load_policies(PolicyConfig(live=live), tmp_path, make_workspace())

    assert chosen == reached
