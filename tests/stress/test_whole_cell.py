"""The product as a user runs it: all processes, real clients, real physics."""

import json
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from ops.process_table import PRODUCT, VIRTUAL_CELL
from ops.processes.bond import HANG_S
from sim2real.virtual_cell.plc.panel import Panel
from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from tests.attendant import (
    find_assists,
    find_late,
    help_if_late,
    wait_attended,
)
from tests.running_cell import RunningCell, find_processes, start_cell
from tests.stress.kill_storm import (
    MODULES,
    NOISY_REST_MS,
    find_misses,
    kill_once,
    prepare_storm,
    run_storm,
)

pytestmark = pytest.mark.alone

_REPORT_KEYS = {
    "placed",
    "attempts",
    "picks_per_hour",
    "first_try_success_ratio",
    "success_interval",
    "limit_violations",
    "unguarded_cycles",
    "late_cycles_ratio",
    "guard_us_p50",
    "guard_us_p999",
    "real_time_factor",
    "manual_assists",
    "holds_by_reason",
    "policy_ms_p50",
    "cycle_s_p50",
}


@pytest.mark.timeout(240)
def test_the_cell_picks_parts_and_accounts_for_them(
    tmp_path: Path, loopback_address: str
) -> None:
    with start_cell(tmp_path, loopback_address, "--picks", "4") as cell:
        while cell.process.poll() is None:
            help_if_late(cell)
            time.sleep(0.2)
        assert cell.process.returncode == 0, cell.output()

    report = cell.report()
    assert set(report) >= _REPORT_KEYS
    assert report["placed"] >= 4
    assert report["attempts"] >= report["placed"]
    assert report["limit_violations"] == 0
    assert report["unguarded_cycles"] == 0
    assists = find_assists(report["stops_by_reason"])
    assert assists <= find_late(cell)
    assert bool(report["manual_assists"]) is bool(assists)


@pytest.mark.timeout(240)
def test_killing_the_host_leaves_nothing_behind(
    tmp_path: Path, loopback_address: str
) -> None:
    with start_cell(tmp_path, loopback_address) as cell:
        wait_attended(cell, lambda s: s["state"] == "EXECUTE", 90.0)
        kill_host(cell, len(PRODUCT + VIRTUAL_CELL))


@pytest.mark.timeout(240)
def test_killing_the_host_while_it_starts_leaves_nothing_behind(
    tmp_path: Path, loopback_address: str
) -> None:
    for round_number, wanted in enumerate((1, 4, 8)):
        folder = tmp_path / str(round_number)
        folder.mkdir()
        with start_cell(folder, loopback_address) as cell:
            while len(find_processes(cell.runtime)) < wanted:
                assert cell.process.poll() is None, cell.output()
            kill_host(cell, wanted)


@pytest.mark.timeout(240)
def test_an_aborted_cell_is_still_aborted_after_its_host_was_killed(
    tmp_path: Path, loopback_address: str
) -> None:
    with start_cell(tmp_path, loopback_address) as cell:
        wait_attended(cell, lambda s: s["state"] == "EXECUTE", 90.0)
        request_fault(cell.runtime, UrFault.PROTECTIVE_STOP)
        cell.wait_for(lambda s: s["state"] == "ABORTED", 20.0)
        kill_host(cell, len(PRODUCT + VIRTUAL_CELL))

    started_ns = time.monotonic_ns()
    with start_cell(tmp_path, loopback_address) as cell:
        status = cell.wait_for(lambda s: s["stamp_ns"] > started_ns, 60.0)
        assert status["state"] == "ABORTED"
        assert "protective stop" in status["state_reason"]


def kill_host(cell: RunningCell, least: int) -> None:
    """Kill the host and wait until every process that it had started is gone."""
    before = find_processes(cell.runtime)
    assert len(before) >= least
    cell.process.send_signal(signal.SIGKILL)
    cell.process.wait()
    _, alive = psutil.wait_procs(before, timeout=2 * HANG_S)
    assert not alive
    # A child that was being started as the host died is not among them.
    deadline_s = time.monotonic() + 2 * HANG_S
    while find_processes(cell.runtime):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.timeout(240)
def test_a_second_controller_is_refused_and_ctrl_c_ends_the_first_in_order(
    tmp_path: Path, loopback_address: str
) -> None:
    with start_cell(tmp_path, loopback_address) as first:
        wait_attended(first, lambda s: s["state"] == "EXECUTE", 90.0)
        second_folder = tmp_path / "second"
        second_folder.mkdir()

        def share_runtime(tree: dict[str, dict[str, str]]) -> None:
            tree["runtime"]["directory"] = str(first.runtime)

        with start_cell(
            second_folder, loopback_address, change=share_runtime
        ) as second:
            assert second.process.wait(30.0) == 5
            assert "another controller is running" in second.output()
        assert first.process.poll() is None
        before = first.status()["stamp_ns"]
        first.wait_for(lambda s: s["stamp_ns"] > before, 5.0)
        assert first.stop() == 0

    assert "killed" not in (tmp_path / "state/log/host.jsonl").read_text()
    assert first.report()["state"] == "STOPPED"
    assert first.report()["limit_violations"] == 0


@pytest.mark.timeout(600)
def test_a_short_kill_storm_never_moves_the_arm_by_itself(
    tmp_path: Path, loopback_address: str
) -> None:
    rng = random.Random(1)
    with start_cell(tmp_path, loopback_address, change=prepare_storm) as cell:
        records = run_storm(cell, 7, rng, tuple(MODULES))
        panel = Panel(cell.runtime)
        cold = kill_once(cell, "supervisor", rng, panel, is_again=True)
        records.append(cold)
        assert cell.stop() == 0

    assert not find_misses(records, NOISY_REST_MS)
    assert cold.killed_again == "starting"
    assert cell.report()["limit_violations"] == 0, json.dumps(
        cell.report()["violations_by_kind"]
    )
