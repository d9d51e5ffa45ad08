"""The ways in which something is taken from a moving cell, to see what it does."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from sim2real.faults.chaos_rule import PLAIN, Accepts, Rule
from sim2real.faults.frozen_thread import freeze_main_thread
from sim2real.faults.line_scenarios import make_switch
from sim2real.faults.stand import Stand, StandError
from sim2real.faults.stand_config import Wire
from tests.stress.force_tap import ForceTap
from tests.stress.injection_judging import (
    Injection,
    Push,
    Void,
    find_own_motion,
    judge_loss,
    judge_push,
    judge_silence,
)
from tests.stress.injection_stand import (
    NEXT_COMMAND,
    read_line,
    record,
    resume,
    wait_for_moment,
    wait_until,
)

HOLD_MS, REST_MS, STOP_MS, SLOW_MS, LOST_MS = 100.0, 200.0, 300.0, 200.0, 200.0
_LEAD_S: Final = 0.02
PAUSE_S: Final = 0.32
"""Shorter than what the supervisor itself calls a stall: the cell goes on by itself."""
_SIGNAL_NS: Final = 1_000_000
"""Within this a signal takes effect."""
_KILL_WATCH_S: Final = 0.6
_LOSS_WATCH_S: Final = 0.6
_QUIET_WATCH_S: Final = 0.4
_FORCE_WATCH_S: Final = 0.7

Inject = Callable[[Stand, random.Random], Injection | Void]


def pause_supervisor(stand: Stand, rng: random.Random) -> Injection | Void:
    """Stop the supervisor for a moment, unseen by its host.

    To a signal the host would answer with an end and a new start; what the servo
    process has to notice is the same.
    """
    wait_for_moment(stand, rng)
    pid = stand.pid_of("supervisor")
    with record(stand) as trace:
        time.sleep(_LEAD_S)
        onset_ns = time.monotonic_ns()
        stood_ns = freeze_main_thread(pid, PAUSE_S)
        ended_ns = stood_ns + int(PAUSE_S * 1e9)
    return judge_silence("paused", trace, onset_ns, stood_ns, ended_ns)


def kill_supervisor(stand: Stand, rng: random.Random) -> Injection | Void:
    """End the supervisor; its successor must let nothing move until it is told to."""
    number = rng.choice([signal.SIGKILL, signal.SIGSTOP])
    wait_for_moment(stand, rng)
    pid = stand.pid_of("supervisor")
    with record(stand) as trace:
        time.sleep(_LEAD_S)
        onset_ns = time.monotonic_ns()
        os.kill(pid, number)
        time.sleep(_KILL_WATCH_S)
        watched_ns = time.monotonic_ns()
        has_returned = wait_until(lambda: _is_back(stand, onset_ns), 30.0)
        time.sleep(2 * _QUIET_WATCH_S)
        ended_ns = time.monotonic_ns()
        state = str(stand.status().get("state"))
    if not has_returned:
        raise StandError("the supervisor was not started again")
    stood_ns = onset_ns + _SIGNAL_NS
    found = judge_silence(number.name, trace, onset_ns, stood_ns, watched_ns)
    wrong = find_own_motion(trace, watched_ns, ended_ns, state)
    started_s = time.monotonic()
    resume(stand)
    if isinstance(found, Void):
        # What must not happen counts wherever the arm was.
        return Injection(number.name, {}, wrong=wrong) if wrong else found
    notes = found.notes | {"resume_s": time.monotonic() - started_s}
    return Injection(found.way, found.times_ms, notes, wrong, found.changes)


def lose_line(stand: Stand, rng: random.Random) -> Injection | Void:
    """Lose the line PLC: cable, program or heartbeat, by turns of chance."""
    way = rng.choice(sorted(_LOSSES))
    begin, end = _LOSSES[way]
    wait_for_moment(stand, rng)
    with record(stand) as trace:
        time.sleep(_LEAD_S)
        onset_ns = time.monotonic_ns()
        begin(stand)
        try:
            time.sleep(_LOSS_WATCH_S)
        finally:
            mended_ns = time.monotonic_ns()
            end(stand)
        time.sleep(_QUIET_WATCH_S)
        ended_ns = time.monotonic_ns()
        state = str(stand.status().get("state"))
    found = judge_loss(way, trace, onset_ns, mended_ns)
    wrong = find_own_motion(trace, mended_ns, ended_ns, state)
    started_s = time.monotonic()
    resume(stand)
    if isinstance(found, Void):
        return found
    notes = found.notes | {"resume_s": time.monotonic() - started_s}
    return Injection(way, found.times_ms, notes, wrong, found.changes)


class Pushes:
    """Guard interventions: the robot reports a force for some milliseconds.

    Attributes:
        tap: where the force is put in.
    """

    def __init__(self) -> None:
        self.tap = ForceTap()
        self._stand: Stand | None = None

    def __call__(self, stand: Stand, rng: random.Random) -> Injection | Void:
        """Push once, with a random force, for a random time."""
        if self._stand is not stand:
            self._stand = stand
            self.tap.install(stand)
            time.sleep(1.0)
        runtime = stand.files.cell_runtime
        wait_until(lambda: not read_line(runtime)["is_slow"], 5.0)
        wait_for_moment(stand, rng)
        force_n = rng.uniform(400.0, 600.0) * _draw_direction(rng)
        with record(stand) as trace:
            time.sleep(2 * _LEAD_S)
            was_slow = bool(read_line(runtime)["is_slow"])
            x, y, z = force_n.tolist()
            onset_ns = self.tap.push((x, y, z), rng.uniform(0.012, 0.03))
            slow_since_ns = _watch_line(runtime, onset_ns)
            ended_ns = time.monotonic_ns()
        if was_slow:
            # Asked already, by something else: there is no begin to be timed.
            return Void.SLOW
        push = Push(onset_ns, ended_ns, tuple(self.tap.carried_ns))
        return judge_push(trace, push, slow_since_ns)


def _watch_line(runtime: Path, onset_ns: int) -> int:
    """Return when the line was first asked to be slow from a moment on, 0 if never.

    Another hold soon after would have it asked anew.
    """
    first_ns, until_s = 0, time.monotonic() + _FORCE_WATCH_S
    while time.monotonic() < until_s:
        since_ns = int(read_line(runtime)["slow_since_ns"])
        if since_ns > onset_ns and not first_ns:
            first_ns = since_ns
        time.sleep(_LEAD_S)
    return first_ns


def _draw_direction(rng: random.Random) -> np.ndarray:
    vector = np.array([rng.gauss(0.0, 1.0) for _ in range(3)])
    return np.asarray(vector / np.linalg.norm(vector))


# --- losses of the line ---


def _pull_cable(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_rules(Rule(is_black_hole=True))


def _plug_cable_in(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_rules(PLAIN)
    stand.wires[Wire.LINE].reset_connections()


def _reset(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_accepts(Accepts.RESET)
    stand.wires[Wire.LINE].reset_connections()


def _accept(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_accepts(Accepts.CARRY)


_LOSSES: Final = {
    "black hole": (_pull_cable, _plug_cable_in),
    "RST": (_reset, _accept),
    "frozen heartbeat": (make_switch(freeze_heartbeat=1), make_switch()),
}


def _is_back(stand: Stand, since_ns: int) -> bool:
    status = stand.status()
    is_new = int(status.get("stamp_ns", 0)) > since_ns
    return is_new and status.get("state") in NEXT_COMMAND
