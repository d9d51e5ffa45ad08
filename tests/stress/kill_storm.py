"""Kills processes of a running cell at random moments and watches what the arm does.

The arm's commanded motion is read from the shared memory between the virtual robot
controller and the physics, where no product code can touch it up.

Run it alone for a long storm: `python -m tests.stress.kill_storm --kills 200 --seed 0`.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cell.mailbox.seqlock import Mailbox
from ops.exit_codes import ExitCode
from sim2real.virtual_cell.links import JOINT_TARGET
from sim2real.virtual_cell.plc.panel import COMMANDS, Panel
from tests.running_cell import RunningCell, start_cell

MODULES = {
    "supervisor": "ops.processes.supervisor",
    "servo": "ops.processes.servo",
    "policy": "ops.processes.policy",
    "camera": "ops.processes.camera",
    "ur": "sim2real.virtual_cell.ur",
    "plc": "sim2real.virtual_cell.plc",
}
REST_RADPS = 0.02
REST_MS = 200.0
"""From a signal to the arm at rest; the bar on a machine that does nothing else."""
NOISY_REST_MS = 500.0
"""The same on a shared machine that runs a whole test suite. An arm that nothing stops
moves on for seconds, so this still tells a stop from none."""
_STOP = ("stop", ("STOPPED",))
PHASES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "EXECUTE": (),
    "RESETTING": (_STOP, ("reset", ("RESETTING", "IDLE"))),
    "STARTING": (_STOP, ("reset", ("IDLE",)), ("start", ("STARTING", "EXECUTE"))),
    "UNHOLDING": (("hold", ("HELD",)), ("unhold", ("UNHOLDING", "EXECUTE"))),
}
"""States to kill in, and the commands that lead there from Execute, each with the
states that show that it took effect."""
_WATCH_S = 0.8
_NEXT_COMMAND = {
    "ABORTED": "clear",
    "STOPPED": "reset",
    "IDLE": "start",
    "HELD": "unhold",
}
_LATCHED = ("ABORTED", "HELD", "STOPPED")


@dataclass(frozen=True)
class KillRecord:
    """One kill and what followed.

    Attributes:
        target: which process.
        state_before: the state that the cell was in.
        signal_name: SIGKILL or SIGSTOP.
        moving: whether the arm was commanded to move at that moment.
        rest_ms: from the signal to the last commanded motion [ms]; 0 when at rest.
        state_after: first state in which the cell settled.
        recovery_s: until it executed again, with the acknowledgements of a person [s].
        self_resumed: it moved again from a latched state without a person.
    """

    target: str
    state_before: str
    signal_name: str
    moving: bool
    rest_ms: float
    state_after: str
    recovery_s: float
    self_resumed: bool


def run_storm(
    cell: RunningCell, kills: int, rng: random.Random, targets: Sequence[str]
) -> list[KillRecord]:
    """Kill `kills` times, each time bringing the cell back as a person would."""
    records = []
    cell.wait_for(lambda s: s.get("placed", 0) >= 1, 90.0)
    panel = Panel(cell.runtime)
    for number in range(kills):
        bring_back(cell, panel)
        # Most of the time it executes, so most kills fall there.
        phase = rng.choices(list(PHASES), weights=(5, 1, 1, 1))[0]
        if phase == "EXECUTE":
            time.sleep(rng.uniform(0.0, 5.0))
        else:
            lead_to(cell, panel, phase)
            time.sleep(rng.uniform(0.0, 0.2))
        record = kill_once(cell, rng.choice(list(targets)), rng, panel)
        records.append(record)
        sys.stderr.write(f"{number + 1}/{kills} {json.dumps(asdict(record))}\n")
    bring_back(cell, panel)
    return records


def kill_once(
    cell: RunningCell, target: str, rng: random.Random, panel: Panel
) -> KillRecord:
    """Send one signal, measure how long the arm stays commanded to move."""
    number = rng.choice([signal.SIGKILL, signal.SIGSTOP])
    pid = cell.pid_of(MODULES[target])
    assert pid is not None, f"{target} is not running"
    targets = Mailbox.open(cell.runtime / "vc_joint_target", JOINT_TARGET)
    try:
        state_before = str(cell.status().get("state", ""))
        before = targets.read()
        moving = before is not None and _speed_radps(before) > REST_RADPS
        killed_ns = time.monotonic_ns()
        os.kill(pid, number)
        rest_ms = _watch_rest_ms(targets, killed_ns) if moving else 0.0
        state = _wait_settled(cell)
        # A cell that waits for its camera or its policy worker goes on by itself.
        is_latched = state in _LATCHED and cell.status().get("clears") != "by itself"
        resumed = is_latched and _moves_again(cell, targets)
        started_s = time.monotonic()
        bring_back(cell, panel)
    finally:
        targets.close()
    return KillRecord(
        target=target,
        state_before=state_before,
        signal_name=signal.Signals(number).name,
        moving=moving,
        rest_ms=rest_ms,
        state_after=state,
        recovery_s=time.monotonic() - started_s,
        self_resumed=resumed,
    )


def lead_to(cell: RunningCell, panel: Panel, phase: str) -> None:
    """Command the cell from Execute into a state, which may be over by the return."""
    for command, wanted in PHASES[phase]:
        panel.press(COMMANDS[command])
        wait_for_state(cell, wanted)


def wait_for_state(cell: RunningCell, wanted: Sequence[str]) -> None:
    """Wait until the cell is in one of these states."""
    cell.wait_for(lambda s: s.get("state") in wanted, 40.0)


def find_misses(records: Sequence[KillRecord], rest_ms: float) -> list[KillRecord]:
    """Return the kills after which the arm moved on too long, or again by itself."""
    return [r for r in records if r.self_resumed or r.rest_ms > rest_ms]


def bring_back(cell: RunningCell, panel: Panel) -> None:
    """Do what the status asks a person to do until the cell executes again."""
    deadline_s = time.monotonic() + 90.0
    while time.monotonic() < deadline_s:
        state = cell.status().get("state", "")
        if state in ("EXECUTE", "SUSPENDED") and _is_fresh(cell):
            return
        if state in ("ABORTED", "HELD"):
            panel.press(fault_ack=True)
            time.sleep(0.2)
        if state in _NEXT_COMMAND:
            panel.press(COMMANDS[_NEXT_COMMAND[state]])
        time.sleep(0.3)
    raise AssertionError(f"the cell did not come back: {cell.status()}")


def _watch_rest_ms(targets: Mailbox, killed_ns: int) -> float:
    last_moving_ns = killed_ns
    previous_q = None
    while time.monotonic_ns() - killed_ns < _WATCH_S * 1e9:
        record = targets.read()
        now_ns = time.monotonic_ns()
        if record is not None:
            is_new = previous_q is None or bool(np.any(record["q"] != previous_q))
            if is_new and _speed_radps(record) > REST_RADPS:
                last_moving_ns = now_ns
            previous_q = np.array(record["q"])
        time.sleep(0.0005)
    return (last_moving_ns - killed_ns) / 1e6


def _speed_radps(record: np.void) -> float:
    return float(np.max(np.abs(record["qd"])))


def _is_fresh(cell: RunningCell) -> bool:
    first = cell.status().get("stamp_ns")
    time.sleep(0.5)
    return cell.status().get("stamp_ns") != first


def _wait_settled(cell: RunningCell) -> str:
    time.sleep(1.5)
    settled = (*_LATCHED, "EXECUTE", "SUSPENDED", "IDLE")
    cell.wait_for(lambda _: _is_fresh(cell), 40.0)
    return str(cell.wait_for(lambda s: s.get("state") in settled, 40.0)["state"])


def _moves_again(cell: RunningCell, targets: Mailbox) -> bool:
    deadline_s = time.monotonic() + 1.0
    # What a stopped controller left behind still holds its last speed.
    first = targets.version()
    while time.monotonic() < deadline_s:
        record = targets.read()
        is_new = targets.version() != first
        if is_new and record is not None and _speed_radps(record) > REST_RADPS:
            return True
        time.sleep(0.01)
    return False


def allow_many_restarts(tree: dict[str, dict[str, int]]) -> None:
    """Change a configuration so that the storm does not trip the restart limit."""
    tree["runtime"]["restart_limit"] = 10_000


def main() -> int:
    """Run a storm, print what was measured and say whether it met its bars."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", default=",".join(MODULES))
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        start_cell(Path(folder), "127.0.0.1", change=allow_many_restarts) as cell,
    ):
        records = run_storm(cell, arguments.kills, rng, arguments.targets.split(","))
        cell.stop()
        report = cell.report()
    _print_summary(records, report)
    if arguments.json is not None:
        rows = [asdict(record) for record in records]
        arguments.json.write_text(json.dumps({"kills": rows, "report": report}))
    misses = find_misses(records, REST_MS)
    for miss in misses:
        sys.stdout.write(f"missed: {json.dumps(asdict(miss))}\n")
    is_met = not misses and report.get("limit_violations") == 0
    return int(ExitCode.OK if is_met else ExitCode.BAR_MISSED)


def _print_summary(records: list[KillRecord], report: dict[str, object]) -> None:
    for target in MODULES:
        rows = [r for r in records if r.target == target]
        rests = [r.rest_ms for r in rows if r.moving]
        if rows:
            worst = max(rests, default=0.0)
            middle = float(np.median(rests)) if rests else 0.0
            sys.stdout.write(
                f"{target:11} kills {len(rows):3}  while moving {len(rests):3}  rest "
                f"median {middle:6.1f} ms  worst {worst:6.1f} ms  self-resumed "
                f"{sum(r.self_resumed for r in rows)}\n"
            )
    sys.stdout.write(f"limit violations {report.get('limit_violations')}\n")


if __name__ == "__main__":
    sys.exit(main())
