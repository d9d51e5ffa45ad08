"""Parts wedged between the fingers, as they were when the sparse solver gave up.

Recorded where the fingers closed after the arm had been pressed down beside a part.
"""

import json
from typing import Any

import mujoco
import numpy as np
import pytest

from sim2real.scene.build import (
    Scene,
    build_scene,
    is_solved,
    place_part,
    use_dense_solver,
)
from sim2real.scene.parts import PartSpec
from tests.fakes.cell_scene import ROOT, DrivenWorld, shipped_geometry

WEDGED = json.loads((ROOT / "tests/fakes/wedged_parts.json").read_text())
GREY = (0.5, 0.5, 0.5, 1.0)


def make_wedged(state: dict[str, Any]) -> Scene:
    parts = [
        PartSpec(
            f"part{i}", part["shape"], tuple(part["size_m"]), part["mass_kg"], GREY
        )
        for i, part in enumerate(state["parts"])
    ]
    scene = build_scene(parts, shipped_geometry())
    assert scene.arm is not None
    for index in range(len(parts)):
        place_part(scene, index, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
    limit_nm = state["gripper_torque_nm"]
    actuator = scene.arm.gripper_actuator
    scene.model.actuator_forcerange[actuator] = (-limit_nm, limit_nm)
    for key in ("ctrl", "qpos", "qvel", "qacc_warmstart"):
        getattr(scene.data, key)[:] = state[key]
    return scene


@pytest.mark.parametrize("state", WEDGED)
def test_a_wedged_part_is_not_shot_away_by_the_solver(state: Any) -> None:
    scene = make_wedged(state)
    assert scene.arm is not None
    use_dense_solver(scene)

    for _ in range(5):
        before = scene.data.qvel[scene.arm.qvel].copy()
        mujoco.mj_step(scene.model, scene.data)

        assert is_solved(scene)
        assert np.abs(scene.data.qvel).max() < 30.0
        assert np.abs(scene.data.qvel[scene.arm.qvel] - before).max() < 0.3


def test_another_solver_finds_the_same_motion() -> None:
    for state in WEDGED:
        dense, gradients = make_wedged(state), make_wedged(state)
        use_dense_solver(dense)
        gradients.model.opt.solver = mujoco.mjtSolver.mjSOL_CG
        gradients.model.opt.iterations = 5000

        for scene in (dense, gradients):
            mujoco.mj_step(scene.model, scene.data)
            assert is_solved(scene)

        assert dense.data.qvel == pytest.approx(gradients.data.qvel, abs=0.01)


def test_a_step_without_an_answer_is_counted() -> None:
    driven = DrivenWorld(parts_in_bin=4)
    world, q = driven.world, driven.q
    for _ in range(300):
        driven.tick(q)
    assert world.unsolved_ticks == 0
    assert world.make_report(1.0)["unsolved_ticks"] == 0

    world.scene.model.opt.iterations = 1
    for _ in range(50):
        driven.tick(q)

    assert 0 < world.unsolved_ticks <= 50
    assert world.make_report(1.0)["unsolved_ticks"] == world.unsolved_ticks


def test_the_cell_finds_its_forces_with_full_matrices() -> None:
    model = DrivenWorld(parts_in_bin=1).world.scene.model

    assert model.opt.jacobian == mujoco.mjtJacobian.mjJAC_DENSE
