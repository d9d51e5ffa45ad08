"""Do grasps hold in the simulated cell, for someone who knows where the parts are?"""

import numpy as np
import pytest

from sim2real.scene.clutter import drop_parts, settle
from tests.fakes.cell_scene import make_scene
from tests.fakes.grasp_oracle import OracleArm, plan_oracle_grasp


def test_at_least_nine_of_ten_oracle_grasps_lift_their_part() -> None:
    lifted = 0
    for seed in range(10):
        scene = make_scene(seed)
        rng = np.random.default_rng(seed)
        drop_parts(scene, rng, int(rng.integers(5, 16)))
        settle(scene, 2.0)
        grasp = plan_oracle_grasp(scene)
        assert grasp is not None

        lifted += OracleArm(scene).lift_height(grasp) > 0.10

    assert lifted >= 9


@pytest.mark.parametrize("force_ratio", [0.0, 1.0])
def test_weakest_and_strongest_grip_lift_a_part_without_unrest(
    force_ratio: float,
) -> None:
    scene = make_scene(2)
    drop_parts(scene, np.random.default_rng(2), 6)
    settle(scene, 2.0)
    grasp = plan_oracle_grasp(scene)
    assert grasp is not None

    height = OracleArm(scene, force_ratio).lift_height(grasp)

    speed = scene.part_handles.qvel[grasp.part]
    assert height > 0.10
    assert np.abs(scene.data.qvel[speed : speed + 3]).max() < 0.02
    assert scene.data.warning.number.sum() == 0
