"""How F69 is tried: the whole controller stands still, and stamps of another clock.

A computer that sleeps stops the monotonic clock as well, so nothing looks old to us
afterwards. The robot has gone on meanwhile: its watchdog has ended our program, and
that is what the latch is for.
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sim2real.faults.evidence import Evidence
from sim2real.faults.guard_checks import foreign_clock
from sim2real.faults.judgement import find_late
from sim2real.faults.scenario import CellScenario, arm_rests, do_nothing
from sim2real.faults.stand import Stand, StandError, pause

_SLEEP_S: Final = 10.0
_FOREIGN_MS: Final = 8.0
"""One guard period of the fault list."""
_FEWEST: Final = 5
"""Host, supervisor, servo process, policy worker, camera at least."""
_HOST: Final = b"ops.cli"


def sleep_and_wake(stand: Stand) -> None:
    """Stop every process of the controller, its host first; let all go on later.

    The host comes last again, or it would end whom it finds stopped.

    Raises:
        StandError: there are fewer processes than a controller has.
    """
    pids = sorted(find_controller(stand), key=_is_host)
    if len(pids) < _FEWEST:
        raise StandError(f"the controller has {len(pids)} processes only")
    try:
        _signal_all(reversed(pids), signal.SIGSTOP)
        pause(_SLEEP_S)
    finally:
        _signal_all(pids, signal.SIGCONT)


def find_controller(stand: Stand) -> set[int]:
    """Return all processes of the controller, by the configuration that they name."""
    name = str(stand.files.controller).encode()
    return {
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if name in _read(path)
    }


def find_foreign_clock(evidence: Evidence) -> str:
    """Miss the refusal of a stamp of another clock, within a guard period."""
    judgement = foreign_clock(evidence.stand.files.settings, True)  # noqa: FBT003
    missed = list(judgement.missed)
    if "held" not in judgement.events:
        missed.append("no event 'held' for a foreign stamp")
    if judgement.reaction_ms is not None:
        late = find_late(judgement.reaction_ms, _FOREIGN_MS, "a foreign stamp: ")
        missed += [late] if late else []
    return "; ".join(missed)


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_host(pid: int) -> bool:
    return _HOST in _read(Path(f"/proc/{pid}/cmdline"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


SUSPEND_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F69": CellScenario(
        inject=sleep_and_wake,
        repair=do_nothing,
        sign=arm_rests,
        looks=(find_foreign_clock,),
        patience_s=15.0,
    ),
}
"""By row."""
