"""Bad policies are bad in every way they claim, and always the same for one seed."""

import copy
import random
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from sim2real.faults.evidence import LogLine
from tests.fakes.cell_scene import shipped_settings
from tests.stress.bad_policies import POLICIES, Granted, make_step
from tests.stress.bad_policy import Round, count_events, make_judge, shorten

SETTINGS = shipped_settings()


def good_chunk() -> dict[str, Any]:
    turn = Pose.tool_down([0.0, 0.0, 0.0], 0.3)
    steps = [make_step([-0.2, 0.48, z], turn, 0.08) for z in (0.14, 0.04)]
    one = {"steps": steps, "score": 0.5, "alternatives": []}
    return {**copy.deepcopy(one), "alternatives": [copy.deepcopy(one)]}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_equal_seeds_spoil_chunk_and_alternatives_equally(name: str) -> None:
    made = []
    for _ in range(2):
        policy = POLICIES[name](SETTINGS, random.Random(3))
        chunks = [good_chunk() for _ in range(30)]
        for chunk in chunks:
            policy(chunk)
        made.append(repr(chunks))

    assert made[0] == made[1]
    assert policy.proposals == 30
    assert sum(policy.tries.values()) == 60
    assert repr(good_chunk()["steps"]) not in made[0].split("alternatives")[-1]


def test_the_adversary_takes_every_way_in_turn() -> None:
    policy = POLICIES["adversarial"](SETTINGS, random.Random(0))

    for _ in range(18):
        policy(good_chunk())

    assert set(policy.tries.values()) == {2}
    assert len(policy.tries) == 18


def test_the_drift_grows_and_begins_anew() -> None:
    policy = POLICIES["drifting"](SETTINGS, random.Random(0))
    shifts = []
    for _ in range(45):
        chunk = good_chunk()
        policy(chunk)
        place = np.array(chunk["steps"][1]["position_m"])
        shifts.append(float(np.linalg.norm(place - np.array([-0.2, 0.48, 0.04]))))

    assert shifts[:39] == sorted(shifts[:39])
    assert shifts[38] > 0.14
    assert shifts[39] == 0.0


def test_events_are_counted_by_reason_without_their_numbers() -> None:
    found = Round("random")
    lines = [
        (
            "supervisor",
            "chunk_refused",
            {"reason": "step 1 lies outside at (0.1, -2) m"},
        ),
        (
            "supervisor",
            "chunk_refused",
            {"reason": "step 0 lies outside at (3.1, 1) m"},
        ),
        ("supervisor", "no_proposal", {"cause": "policy_output_invalid"}),
        ("supervisor", "attempt", {"model": "heightmap-0.14", "outcome": "placed"}),
        ("supervisor", "state", {"to": "HOLDING", "reason": "the guard refused"}),
        ("supervisor", "state", {"to": "EXECUTE"}),
        ("host", "state", {"to": "HOLDING"}),
    ]

    count_events(found, [LogLine(0, *line) for line in lines])

    assert list(found.refusals.values()) == [2]
    assert found.no_proposals == {"policy_output_invalid": 1}
    assert found.attempts == {"heightmap: placed": 1}
    assert found.stops == {"the guard refused": 1}
    assert shorten("leaves -0.004 m between a and b") == "leaves # m between a and b"


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_only_what_the_cell_would_carry_out_is_proposed(name: str) -> None:
    judge = make_judge(SETTINGS)
    source = POLICIES[name](SETTINGS, random.Random(1))
    policy = Granted(source, judge)

    chunks = [good_chunk() for _ in range(6)]
    for chunk in chunks:
        policy(chunk)

    assert all(judge(chunk["steps"]) for chunk in chunks)
    assert all(chunk["steps"] != good_chunk()["steps"] for chunk in chunks)
    assert not any(chunk["alternatives"] for chunk in chunks)
    assert policy.proposals == sum(policy.tries.values()) == 6


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308])
def test_what_is_no_pose_would_not_be_carried_out(value: float) -> None:
    steps = good_chunk()["steps"]
    assert make_judge(SETTINGS)(steps)
    steps[1]["position_m"][0] = value
    assert not make_judge(SETTINGS)(steps)
