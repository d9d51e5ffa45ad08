"""The kernels answer the same as machine code and as the plain Python they are."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safety.capsules import make_surroundings
from safety.clearance import check_clearance, fill_clearances, fill_travel
from safety.limits import make_limits
from safety.load_check import (
    check_load,
    compute_load,
    compute_load_cap,
    smooth_load,
)
from safety.verdicts import make_state
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY, compute_tcp
from tests.fakes.projection_cases import (
    TOOL,
    answer_increment,
    answer_pose,
    make_packed,
)
from tests.stress.adversary_zones import draw_surroundings

IS_INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
Table = dict[str, Any]


def fill_clearance_tables(tables: Table) -> None:
    """Four kinds of surroundings, with a part and without, and ways to all sides."""
    tcp = compute_tcp(HOME_Q)
    rooms, travels, answers = [], [], []
    for number in (1, 2, 3, 7):
        rng = np.random.default_rng(number)
        config = SAFETY.model_copy(update=draw_surroundings(rng, number, tcp))
        around, _ = make_surroundings(config, TOOL)
        around.radius[-1] = (0.0, 0.03)[number % 2]
        count = len(around.against_zone) + len(around.against_self)
        for _ in range(60):
            q = HOME_Q + rng.normal(0.0, 0.2, 6)
            way = rng.normal(0.0, 0.02, 6) * rng.choice([0.0, 1.0], 6)
            room, travel = np.empty(count), np.empty(count)
            fill_clearances(q, around, 0.1, room)
            fill_travel(way, around, travel)
            rooms.append(room)
            travels.append(travel)
            answers.append(check_clearance(q, way, around))
    tables["room"] = np.concatenate(rooms)
    tables["travel"] = np.concatenate(travels)
    tables["clearance"] = np.array(answers)


def fill_load_tables(tables: Table) -> None:
    """Three hundred readings, some of them no numbers, on an arm that creeps or not."""
    lim = make_limits(SAFETY, TOOL, PERIOD_S)[0]
    rng = np.random.default_rng(5)
    loads, answers = [], []
    smooth, cap = 0.0, 0.0
    for number in range(300):
        was = make_state(HOME_Q)[0]
        was["qd"] = rng.normal(0.0, 0.02, 6) * (number % 3)
        was["load_cap"] = cap
        wrench = rng.normal(0.0, 1.0, 6) * np.repeat([150.0, 20.0], 3)
        q = HOME_Q + rng.normal(0.0, 2e-5, 6)
        load = compute_load(wrench, lim)
        smooth = smooth_load(smooth, load, lim)
        cap = compute_load_cap(cap, smooth, float(number % 2))
        loads.append((load, smooth, cap))
        answers.append(check_load(was, q, smooth, lim))
    tables["load"], tables["load_check"] = np.array(loads), np.array(answers)


def fill_projection_tables(tables: Table) -> None:
    """Two hundred increments and a hundred poses from places about home."""
    packed = make_packed(5000.0)
    rng = np.random.default_rng(6)
    increments, poses = [], []
    for number in range(200):
        q = HOME_Q + rng.normal(0.0, 0.3, 6)
        qd = rng.normal(0.0, 0.3, 6) * rng.choice([0.0, 1.0])
        qdd = rng.normal(0.0, 3.0, 6) * rng.choice([0.0, 1.0])
        wish = rng.normal(0.0, 1.0, 6) * rng.choice([1e-4, 1.0])
        increments.append(answer_increment(packed, q, qd, qdd, wish).tolist())
        if number % 2:
            target = np.eye(3, 4)
            target[:, :3] = np.diag([1.0, -1.0, -1.0])
            target[:, 3] = compute_tcp(q) + rng.normal(0.0, 0.01, 3)
            poses.append(answer_pose(packed, q, target).tolist())
    for name, answers in (("increment", increments), ("pose", poses)):
        rows = [np.concatenate([np.ravel(field) for field in row]) for row in answers]
        tables[name] = np.array(rows)


def fill_tables() -> Table:
    tables: Table = {}
    fill_clearance_tables(tables)
    fill_load_tables(tables)
    fill_projection_tables(tables)
    return tables


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(IS_INTERPRETED, reason="compares with the compiled kernels")
def test_kernels_answer_the_same_without_their_compiler(
    tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "plain.npz"
    code = (
        "import numpy as np;"
        "from tests.unit.safety.test_without_compiler import fill_tables;"
        f"np.savez({str(path)!r}, **fill_tables())"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=repository, env=environment, check=True
    )

    compiled, plain = fill_tables(), np.load(path)

    # Additions and products in the same order: the same to the last bit.
    for name in ("travel", "load", "load_check"):
        assert np.array_equal(compiled[name], plain[name]), name
    # Sines and cosines may come from another library; where it is the same one, these
    # are the same to the last bit too.
    for name in ("room", "clearance", "increment", "pose"):
        assert np.allclose(compiled[name], plain[name], rtol=0.0, atol=1e-12), name
    # But what is decided is the same: reasons and pairs, reasons and joints.
    for column in (0, 3):
        assert (compiled["clearance"][:, column] == plain["clearance"][:, column]).all()
    for name in ("increment", "pose"):
        decided = slice(6, 9)
        assert (compiled[name][:, decided] == plain[name][:, decided]).all(), name
    assert len(set(compiled["clearance"][:, 0])) > 1
    assert len(set(compiled["load_check"][:, 0])) > 1
    assert len(set(compiled["increment"][:, 7])) > 1
