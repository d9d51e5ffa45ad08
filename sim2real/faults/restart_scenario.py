"""How F71 is tried: a process that dies at every start, until its host gives it up."""

import contextlib
import os
import signal
import time
from typing import Final

from ops.process_table import RestartPolicy
from sim2real.faults.evidence import Evidence
from sim2real.faults.process_scenarios import find_workers
from sim2real.faults.scenario import CellScenario, do_nothing, make_event_sign
from sim2real.faults.stand import Stand, pause

_RESTARTS: Final = 5
"""Of the fault list, within ten minutes."""
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.01
_PRESS_S: Final = 0.7
_IN_VAIN: Final = ("clear", "unhold", "ack", "clear", "reset", "start", "unhold")
"""Everything that leads another cell on, with and without an acknowledgement."""
_AT_REST: Final = ("ABORTED", "CLEARING", "STOPPED", "RESETTING", "STOPPING")


class _DeadAtBirth:
    """Kills the policy worker again and again, as soon as it is there."""

    def __init__(self) -> None:
        self._deaths = 0

    def begin(self, stand: Stand) -> None:
        """Kill it until no other is started for a while."""
        self._deaths = 0
        killed: set[int] = set()
        deadline_s = time.monotonic() + _PATIENCE_S
        while self._deaths <= _RESTARTS and time.monotonic() < deadline_s:
            for pid in find_workers(stand) - killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
                self._deaths += 1
            pause(_LOOK_S)

    def find_return(self, evidence: Evidence) -> str:
        """Miss a process that stays down, and a cell that nothing leads on.

        A person does all that leads on elsewhere, while the process is down.
        """
        if self._deaths <= _RESTARTS:
            return f"it was given up after {self._deaths} deaths"
        stand = evidence.stand
        since_ns = time.monotonic_ns()
        for name in _IN_VAIN:
            stand.press(name)
            pause(_PRESS_S)
            state = stand.status().get("state")
            if state not in _AT_REST:
                return f"the cell went on: '{name}' led to {state}"
        if find_workers(stand):
            return "another policy worker was started"
        moved_ns = evidence.find_motion_ns(since_ns, time.monotonic_ns())
        return "" if moved_ns is None else "the arm moved when it was pressed"


def find_wrong_limit(evidence: Evidence) -> str:
    """Miss the limit of the fault list, on the rule that the host uses.

    Deaths far apart are none of a loop.
    """
    limit = evidence.stand.files.settings.runtime.restart_limit
    if limit > _RESTARTS:
        return f"runtime.restart_limit permits {limit} restarts"
    fast, slow = RestartPolicy(limit=limit), RestartPolicy(limit=limit)
    delays_s = [fast.note_death(float(number)) for number in range(limit + 1)]
    if None in delays_s[:-1] or delays_s[-1] is not None:
        return f"deaths a second apart are answered with {delays_s}"
    if None in [slow.note_death(200.0 * number) for number in range(limit + 1)]:
        return "deaths minutes apart count as a loop"
    return ""


_dead = _DeadAtBirth()

RESTART_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F71": CellScenario(
        inject=_dead.begin,
        repair=do_nothing,
        sign=make_event_sign("host", "process ended", name="policy", delay_s=None),
        patience_s=10.0,
        looks=(_dead.find_return, find_wrong_limit),
        fresh=True,
        restart_limit=None,
    ),
}
"""By row."""
