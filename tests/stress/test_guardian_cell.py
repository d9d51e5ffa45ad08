"""The Guardian in the product as a user runs it: real network, sockets and physics."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attendant import find_assists, find_late, wait_attended
from tests.fakes.grasp_models import write_upside_down
from tests.running_cell import ROOT, RunningCell, start_cell

pytestmark = pytest.mark.alone

MODELS = ROOT / "policies" / "models"


def attempts_of(cell: RunningCell) -> list[tuple[str, bool]]:
    """Return outcome and whether the fallback proposed, of every attempt so far."""
    return [
        (record["outcome"], record["is_fallback"])
        for record in cell.log("supervisor")
        if record.get("event") == "attempt"
    ]


def use_models(folder: Path) -> Callable[[dict[str, Any]], None]:
    def change(tree: dict[str, Any]) -> None:
        tree["policy"]["directory"] = str(folder)
        # The policy is withdrawn after five or six misses, by what each one tells;
        # with the shipped six in a row the cell might stop for a person first.
        tree["supervisor"]["max_failures_in_row"] = 12

    return change


@pytest.mark.timeout(600)
def test_a_learned_policy_that_is_bad_is_withdrawn_and_the_cell_places_on(
    tmp_path: Path, loopback_address: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(MODELS / "guardian", models / "guardian")
    write_upside_down(MODELS / "heightmap", models / "heightmap")

    with start_cell(tmp_path, loopback_address, change=use_models(models)) as cell:
        wait_attended(cell, lambda s: s["guardian"]["falls"] == 1, 240.0)
        status = wait_attended(cell, lambda s: s["placed"] >= 2, 240.0)
        assert status["guardian"]["is_fallback"]
        assert any("withdrawn" in alarm for alarm in status["alarms"])
        assert cell.stop() == 0

    by_fallback = [is_fallback for _, is_fallback in attempts_of(cell)]
    first = by_fallback.index(True)
    assert 1 <= first <= 6
    assert all(by_fallback[first:])
    report = cell.report()
    assert find_assists(report["stops_by_reason"]) <= find_late(cell)
    assert report["guardian"]["in_charge"].startswith("scripted")
    assert report["limit_violations"] == 0


@pytest.mark.timeout(600)
def test_a_guardian_that_is_killed_means_fallback_within_one_cycle(
    tmp_path: Path, loopback_address: str
) -> None:
    with start_cell(tmp_path, loopback_address) as cell:
        wait_attended(cell, lambda s: s["placed"] >= 1, 240.0)
        assert not cell.status()["guardian"]["is_fallback"]
        pid = cell.pid_of("guardian")
        before = len(attempts_of(cell))
        os.kill(pid, signal.SIGKILL)

        status = cell.wait_for(lambda s: s["guardian"]["is_fallback"], 10.0)
        assert "gone" in status["guardian"]["why"]
        placed = status["placed"]
        status = wait_attended(cell, lambda s: s["placed"] >= placed + 2, 240.0)

        # The host has started it again long since; that alone gives nothing back.
        assert cell.pid_of("guardian") != pid
        assert status["guardian"]["is_fallback"]
        assert cell.stop() == 0

    later = [is_fallback for _, is_fallback in attempts_of(cell)[before + 1 :]]
    assert later
    assert all(later)
    assert find_assists(cell.report()["stops_by_reason"]) <= find_late(cell)
    assert cell.report()["guardian"]["shadow_looks"] >= 1
