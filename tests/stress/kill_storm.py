"""Kills processes of a running cell at random moments and watches what the arm does.

The arm's motion is recorded without a gap from before the signal until the cell is
brought back, in the shared memory between the virtual robot controller and the physics,
where no product code can touch it up. The line PLC starts nothing here, so whatever
moves without a press of this tool moves by itself.

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

from ops.exit_codes import ExitCode
from sim2real.faults.arm_trace import (
    SETTLED_RADPS,
    ArmRecorder,
    find_first_motion,
    find_last_motion,
    is_moving,
)
from sim2real.faults.process_ids import read_pid
from sim2real.virtual_cell.plc.panel import COMMANDS, Panel
from tests.attendant import bring_back, is_fresh, wait_attended
from tests.running_cell import RunningCell, start_cell

MODULES = {
    "supervisor": "ops.processes.supervisor",
    "servo": "ops.processes.servo",
    "policy": "ops.processes.policy",
    "guardian": "ops.processes.guardian",
    "camera": "ops.processes.camera",
    "ur": "sim2real.virtual_cell.ur",
    "plc": "sim2real.virtual_cell.plc",
}
NEEDS_NO_STOP = ("guardian",)
"""Processes whose loss stops nothing: the fallback policy picks on."""
NEEDS_PERSON = ("supervisor", "servo", "ur", "plc")
"""Processes after whose loss nothing may move again until a person released it."""
REST_MS = 200.0
"""From a signal to the arm commanded to rest; the bar on a machine that does nothing
else. It holds after every signal: an arm that stood must not begin to move either."""
STAND_MS = 350.0
"""From a signal to the simulated joints at rest: the bar, and the lag of the drives."""
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
_LATCHED = ("ABORTED", "HELD", "STOPPED")
_RESTING = (*_LATCHED, "IDLE")
_AGAIN_SHARE = 0.2
"""Of kills whose successor is killed as well, while it starts."""


@dataclass(frozen=True)
class KillRecord:
    """One kill and what followed.

    Attributes:
        target: which process.
        state_before: the state that the cell was in.
        signal_name: SIGKILL or SIGSTOP.
        moving: whether the arm was commanded to move at that moment.
        rest_ms: from the signal to the last commanded motion [ms]; 0 without any.
        stand_ms: from the signal to the last motion of the simulated joints [ms].
        killed_again: when the process that took its place was killed as well:
            `starting`, before its first life sign, or `working`; empty when it was not.
        state_after: first state in which the cell settled.
        recovery_s: until it executed again, with the acknowledgements of a person [s].
        self_resumed: it moved or executed again, which needed a person, without one.
    """

    target: str
    state_before: str
    signal_name: str
    moving: bool
    rest_ms: float
    stand_ms: float
    killed_again: str
    state_after: str
    recovery_s: float
    self_resumed: bool


def run_storm(
    cell: RunningCell, kills: int, rng: random.Random, targets: Sequence[str]
) -> list[KillRecord]:
    """Kill `kills` times, each time bringing the cell back as a person would."""
    records = []
    cell.wait_for(lambda s: s.get("state") in _LATCHED, 90.0)
    panel = Panel(cell.runtime)
    bring_back(cell, panel)
    wait_attended(cell, lambda s: s.get("placed", 0) >= 1, 240.0)
    for number in range(kills):
        bring_back(cell, panel)
        # Most of the time it executes, so most kills fall there.
        phase = rng.choices(list(PHASES), weights=(5, 1, 1, 1))[0]
        if phase == "EXECUTE":
            time.sleep(rng.uniform(0.0, 5.0))
        else:
            while not lead_to(cell, panel, phase):
                bring_back(cell, panel)
            time.sleep(rng.uniform(0.0, 0.2))
        record = kill_once(cell, rng.choice(list(targets)), rng, panel)
        records.append(record)
        sys.stderr.write(f"{number + 1}/{kills} {json.dumps(asdict(record))}\n")
    bring_back(cell, panel)
    return records


def kill_once(
    cell: RunningCell,
    target: str,
    rng: random.Random,
    panel: Panel,
    *,
    is_again: bool | None = None,
) -> KillRecord:
    """Send one signal, measure how long the arm stays commanded to move.

    Args:
        cell: what is killed in.
        target: name of the process.
        rng: draws the signal.
        panel: brings the cell back.
        is_again: whether its successor is killed as well, while it starts, and with it
            a spare; None to draw that.
    """
    number = rng.choice([signal.SIGKILL, signal.SIGSTOP])
    pid = cell.pid_of(target)
    if is_again is None:
        is_again = rng.random() < _AGAIN_SHARE
    with ArmRecorder(cell.runtime) as arm:
        state_before = str(cell.status().get("state", ""))
        # A spare would have taken over, and worked, long before it could be killed.
        spares = cell.find_idle_pids(target, MODULES[target]) if is_again else set()
        killed_ns = time.monotonic_ns()
        for each in spares:
            os.kill(each, signal.SIGKILL)
        os.kill(pid, number)
        time.sleep(_WATCH_S)
        again = _kill_successor(cell, target, {pid, *spares}) if is_again else ""
        state = _wait_settled(cell)
        # A cell that waits for its camera or its policy worker goes on by itself.
        is_latched = state in _LATCHED and cell.status().get("clears") != "by itself"
        if state in _RESTING:
            time.sleep(1.0)
        ended_ns = time.monotonic_ns()
    watched_ns = killed_ns + int(_WATCH_S * 1e9)
    has_moved = find_first_motion(arm.targets, watched_ns, ended_ns) is not None
    resumed = (
        has_moved
        if is_latched
        else target in NEEDS_PERSON and (has_moved or state not in _RESTING)
    )
    started_s = time.monotonic()
    bring_back(cell, panel)
    last_ns = find_last_motion(arm.targets, killed_ns, watched_ns, states=arm.states)
    stood_ns = find_last_motion(arm.states, killed_ns, watched_ns, SETTLED_RADPS)
    return KillRecord(
        target=target,
        state_before=state_before,
        signal_name=signal.Signals(number).name,
        moving=is_moving(arm.targets, killed_ns),
        rest_ms=_since_ms(last_ns, killed_ns),
        stand_ms=_since_ms(stood_ns, killed_ns),
        killed_again=again,
        state_after=state,
        recovery_s=time.monotonic() - started_s,
        self_resumed=resumed,
    )


def _kill_successor(cell: RunningCell, target: str, before: set[int]) -> str:
    """Kill the process that takes a place as soon as it is there; say in what stage."""
    deadline_s = time.monotonic() + 30.0
    while time.monotonic() < deadline_s:
        starting = cell.find_idle_pids(target, MODULES[target]) - before
        working = {read_pid(cell.runtime, target)} - before
        if starting and not working:
            os.kill(starting.pop(), signal.SIGKILL)
            return "starting"
        if working:
            os.kill(working.pop(), signal.SIGKILL)
            return "working"
        time.sleep(0.01)
    raise AssertionError(f"{target} was not started again")


def _since_ms(moved_ns: int | None, killed_ns: int) -> float:
    return 0.0 if moved_ns is None else (moved_ns - killed_ns) / 1e6


def lead_to(cell: RunningCell, panel: Panel, phase: str) -> bool:
    """Command the cell from Execute into a state, which may be over by the return.

    Returns:
        False when it aborted on the way, as it may on a machine that gives it no turns.
    """
    for command, wanted in PHASES[phase]:
        panel.press(COMMANDS[command])
        if wait_for_state(cell, (*wanted, "ABORTED")) not in wanted:
            return False
    return True


def wait_for_state(cell: RunningCell, wanted: Sequence[str]) -> str:
    """Wait until the cell is in one of these states, and return in which."""
    return str(cell.wait_for(lambda s: s.get("state") in wanted, 40.0)["state"])


def find_misses(records: Sequence[KillRecord], rest_ms: float) -> list[KillRecord]:
    """Return the kills after which the arm moved on too long, or again by itself.

    A stop counts where one is due.
    """
    stand_ms = rest_ms + STAND_MS - REST_MS
    return [
        r
        for r in records
        if r.self_resumed
        or (
            r.target not in NEEDS_NO_STOP
            and (r.rest_ms > rest_ms or r.stand_ms > stand_ms)
        )
    ]


def _wait_settled(cell: RunningCell) -> str:
    time.sleep(1.5)
    settled = (*_LATCHED, "EXECUTE", "SUSPENDED", "IDLE")
    cell.wait_for(lambda _: is_fresh(cell), 40.0)
    return str(cell.wait_for(lambda s: s.get("state") in settled, 40.0)["state"])


def prepare_storm(tree: dict[str, dict[str, object]]) -> None:
    """Change a configuration: no restart limit, and a line that starts nothing."""
    tree["runtime"]["restart_limit"] = 10_000
    tree["virtual_cell"]["autostart"] = False


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
        start_cell(Path(folder), "127.0.0.1", change=prepare_storm) as cell,
    ):
        records = run_storm(cell, arguments.kills, rng, arguments.targets.split(","))
        has_ended_well = cell.stop() == ExitCode.OK
        report = cell.report()
    _print_summary(records, report)
    if arguments.json is not None:
        rows = [asdict(record) for record in records]
        arguments.json.write_text(json.dumps({"kills": rows, "report": report}))
    misses = find_misses(records, REST_MS)
    for miss in misses:
        sys.stdout.write(f"missed: {json.dumps(asdict(miss))}\n")
    is_clean = report.get("limit_violations") == 0 == report.get("unguarded_cycles")
    is_met = not misses and is_clean and has_ended_well
    return int(ExitCode.OK if is_met else ExitCode.BAR_MISSED)


def _print_summary(records: list[KillRecord], report: dict[str, object]) -> None:
    for target in MODULES:
        rows = [r for r in records if r.target == target]
        rests = [r.rest_ms for r in rows if r.moving]
        if rows:
            worst = max(r.rest_ms for r in rows)
            middle = float(np.median(rests)) if rests else 0.0
            stood = max(r.stand_ms for r in rows)
            sys.stdout.write(
                f"{target:11} kills {len(rows):3}  while moving {len(rests):3}  rest "
                f"median {middle:6.1f} ms  worst {worst:6.1f} ms  joints stand "
                f"{stood:6.1f} ms  self-resumed {sum(r.self_resumed for r in rows)}\n"
            )
    for name in ("limit_violations", "unguarded_cycles"):
        sys.stdout.write(f"{name} {report.get(name)}\n")


if __name__ == "__main__":
    sys.exit(main())
