"""Tries one row on a whole cell and judges what was seen."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from sim2real.faults.arm_trace import ArmRecorder
from sim2real.faults.evidence import Evidence, LogReader, ServoRecorder
from sim2real.faults.judgement import Judgement, find_late, find_low
from sim2real.faults.rows import FaultRow, Rung
from sim2real.faults.scenario import CellScenario
from sim2real.faults.stand import Stand, pause

_POLL_S: Final = 0.02
_WATCH_S: Final = 1.5
"""How long nothing may move after the fault is gone."""
_REST_MS: Final = 300.0
"""The guard's ramp takes 100 ms, the robot's own filter 75 ms; the rest is for a
machine that does other things as well."""
_SETTLE_S: Final = 30.0
_STATUS_S: Final = 1.0
_NS: Final = 1e9
_ENDED: Final = ("host", "process ended")


def try_on_cell(
    stand: Stand, row: FaultRow, scenario: CellScenario, *, with_fault: bool = True
) -> Judgement:
    """Bring the cell to work, let the fault happen, watch, repair, watch again.

    Args:
        stand: a started cell with the wires that the scenario needs.
        row: what must happen.
        scenario: how to try it.
        with_fault: False leaves the fault out, to show that the checks can fail.

    Raises:
        CellError: the cell was not fit for the trial.
    """
    stand.bring_back()
    scenario.moment(stand)
    rung: Rung | None = None
    with watch(stand) as evidence:
        evidence.onset_ns = time.monotonic_ns()
        if with_fault:
            scenario.inject(stand)
        try:
            reacted_ns = _await_sign(evidence, scenario)
            _wait_until(evidence.onset_ns + int(scenario.lasts_s * _NS))
            # Where no reaction came there is nothing to settle, and the row has failed.
            has_reacted = reacted_ns is not None
            status = _await_settled(stand, row) if has_reacted else stand.status()
            rung = _find_rung(evidence, row)
            missed = _judge_meanwhile(evidence, row, scenario, status)
            missed += _judge_rung(evidence, row, rung)
        finally:
            evidence.repair_ns = repair_ns = time.monotonic_ns()
            if with_fault:
                scenario.repair(stand)
        pause(_WATCH_S)
        missed += _judge_afterwards(evidence, scenario, repair_ns)
        missed += [m for look in scenario.looks if (m := look(evidence))]
        start_ns = _find_onset(evidence, scenario)
        reaction_ms = None
        if reacted_ns is not None:
            # What was in order when the fault began was so early enough.
            reaction_ms = max(0.0, (reacted_ns - start_ns) / 1e6)
        rest_ms = None
        if scenario.stops_arm:
            rest_ms = _compute_rest_ms(evidence, start_ns, repair_ns)
        missed += _judge_times(row, reaction_ms, rest_ms)
    return Judgement(_describe(status), reaction_ms, rest_ms, tuple(missed), rung)


@contextmanager
def watch(stand: Stand) -> Iterator[Evidence]:
    """Record everything until the end of the block."""
    arm = ArmRecorder(stand.files.cell_runtime)
    servo = ServoRecorder(stand.files.runtime)
    with arm, servo:
        log = LogReader(stand.files.logs, stand.files.cell_logs)
        evidence = Evidence(stand, arm, servo, log)
        evidence.violations_before = stand.count_violations()
        evidence.notes["placed"] = float(stand.status().get("placed", 0))
        yield evidence


def _await_sign(evidence: Evidence, scenario: CellScenario) -> int | None:
    deadline_ns = evidence.onset_ns + int(scenario.patience_s * _NS)
    while True:
        now_ns = time.monotonic_ns()
        seen_ns = scenario.sign(evidence, now_ns)
        if seen_ns is not None or now_ns > deadline_ns:
            return seen_ns
        pause(_POLL_S)


def _wait_until(moment_ns: int) -> None:
    left_s = (moment_ns - time.monotonic_ns()) / _NS
    if left_s > 0:
        pause(left_s)


def _await_settled(stand: Stand, row: FaultRow) -> dict[str, object]:
    """Return the status, once the cell is where the row wants it or time is over."""
    deadline_s = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline_s:
        status = stand.status()
        if status.get("state") in row.states:
            break
        pause(_POLL_S)
    return stand.status()


def _judge_meanwhile(
    evidence: Evidence,
    row: FaultRow,
    scenario: CellScenario,
    status: dict[str, object],
) -> list[str]:
    missed = []
    if status.get("state") not in row.states:
        missed.append(f"state {status.get('state')}, not {' or '.join(row.states)}")
    if row.causes:
        missed += _judge_cause(evidence, row, scenario)
    if scenario.event != ("supervisor", "state"):
        source, name = scenario.event
        lines = evidence.events()
        if not any((line.source, line.event) == scenario.event for line in lines):
            missed.append(f"no event '{name}' of {source}")
    effect = scenario.effect(evidence)
    return missed + ([effect] if effect else [])


def _find_rung(evidence: Evidence, row: FaultRow) -> Rung:
    """Return the strongest reaction that was seen; wait a little for the one due.

    What was just recorded stands in the status of the next turn. A ramp of the guard
    that ends by itself is none of the ladder's: where the row names no cause, the servo
    process's own hold counts as one.
    """
    deadline_s = time.monotonic() + _STATUS_S
    while (seen := evidence.find_rung()) < row.rung and time.monotonic() < deadline_s:
        pause(_POLL_S)
    if row.causes or row.rung is not Rung.HOLD:
        return seen
    return max(seen, evidence.find_hold_rung())


def _judge_rung(evidence: Evidence, row: FaultRow, seen: Rung | None) -> list[str]:
    """Compare with the rung of the ladder; a process that ended is its own evidence."""
    if row.rung is not Rung.EXIT:
        return find_low(row, seen)
    missed = find_low(replace(row, rung=Rung.LATCH), seen)
    if any((line.source, line.event) == _ENDED for line in evidence.events()):
        return missed
    return [*missed, "no process was recorded as ended"]


def _judge_cause(
    evidence: Evidence, row: FaultRow, scenario: CellScenario
) -> list[str]:
    """Look for the recorded event that names an expected cause."""
    texts = [FACTS[Cause(name)].text for name in row.causes]
    named = set(row.causes)
    others: list[str] = []
    for line in evidence.events():
        if line.event == "also" and line.fields.get("cause") in named:
            return []
        reason = str(line.fields.get("reason", ""))
        if line.event != "state" or not reason:
            continue
        if reason.startswith(tuple(texts)):
            return []
        others.append(reason)
    tree = evidence.stand.status()
    if scenario.event != ("supervisor", "state") and tree.get("cause") in named:
        return []
    said = f"; recorded: {others[0]}" if others else ""
    return [f"no event names {' or '.join(row.causes)}{said}"]


def _judge_afterwards(
    evidence: Evidence, scenario: CellScenario, repair_ns: int
) -> list[str]:
    missed = []
    if scenario.is_latched:
        moved_ns = evidence.find_motion_ns(repair_ns, time.monotonic_ns())
        if moved_ns is not None:
            late_ms = (moved_ns - repair_ns) / 1e6
            missed.append(f"the arm moved by itself {late_ms:.0f} ms after the repair")
        state = evidence.stand.status().get("state")
        if state in ("EXECUTE", "STARTING", "UNHOLDING"):
            missed.append(f"the cell went on by itself, to {state}")
    found = evidence.stand.count_violations() - evidence.violations_before
    if found:
        missed.append(f"the world's monitor saw {found} limit violations")
    return missed


def _find_onset(evidence: Evidence, scenario: CellScenario) -> int:
    if scenario.onset is None:
        return evidence.onset_ns
    found_ns = scenario.onset(evidence, time.monotonic_ns())
    return evidence.onset_ns if found_ns is None else found_ns


def _compute_rest_ms(evidence: Evidence, start_ns: int, until_ns: int) -> float:
    last_ns = evidence.find_last_motion_ns(until_ns)
    return 0.0 if last_ns is None else max(0.0, (last_ns - start_ns) / 1e6)


def _judge_times(
    row: FaultRow, reaction_ms: float | None, rest_ms: float | None
) -> list[str]:
    if reaction_ms is None:
        return ["no reaction was seen"]
    if row.bound_ms is None:
        return []
    late = find_late(reaction_ms, row.bound_ms)
    missed = [late] if late else []
    limit_ms = row.bound_ms + _REST_MS
    if rest_ms is not None and not rest_ms <= limit_ms:
        missed.append(f"late: the arm moved on for {rest_ms:.0f} ms")
    return missed


def _describe(status: dict[str, object]) -> str:
    state, reason = status.get("state", "unknown"), status.get("state_reason", "")
    return f"{state}: {reason}" if reason else str(state)
