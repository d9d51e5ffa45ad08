"""Reads what the processes of a running controller publish in shared memory."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cell.contracts.servo import HoldReason, ServoPhase, ServoState
from cell.contracts.units import s_from_ns
from cell.mailbox.servo_link import ServoLink
from cell.mailbox.text import TextMailbox
from ops.lives import ServoLives, ServoTotals, WorldLives

STATUS_CAPACITY = 65536
PREVIOUS_STATUS = "previous_status"
"""Name of the file in the runtime directory with what an earlier run left."""
_SCHEDULERS = ("FIFO", "nice", "normal priority")


@dataclass(frozen=True)
class Telemetry:
    """One look at a running controller; every part may be absent.

    Attributes:
        status: the supervisor's status tree.
        servo: the servo process's figures.
        world: what the virtual cell says of itself; empty on a real cell.
        status_age_s: age of the status [s], None before the first.
    """

    status: dict[str, Any] = field(default_factory=dict)
    servo: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    status_age_s: float | None = None


class TelemetryReader:
    """Attached to the mailboxes of one runtime directory."""

    def __init__(self, runtime: Path) -> None:
        self._status = TextMailbox(runtime / "status", STATUS_CAPACITY)
        self._world = TextMailbox(runtime / "vc_report", STATUS_CAPACITY)
        self._servo = ServoLink.open(runtime)
        self._servo_lives = ServoLives()
        self._world_lives = WorldLives()

    def read(self) -> Telemetry:
        """Return the newest figures of every source; counts cover every restart.

        Call it often: what a process counted is known as of the last look at it.
        """
        state = self._servo.read_state()
        self._world_lives.follow(_parse_tree(self._world.read()))
        if state is not None:
            self._servo_lives.follow(state)
        totals = self._servo_lives.compute_totals()
        status = _parse_tree(self._status.read())
        return Telemetry(
            status=status,
            servo={} if state is None else compute_servo_figures(state, totals),
            world=self._world_lives.compute_totals(),
            status_age_s=_compute_age_s(status),
        )


def compute_servo_figures(state: ServoState, totals: ServoTotals) -> dict[str, Any]:
    """Turn a servo state, and what all lives counted, into figures."""
    return {
        "phase": ServoPhase(state.phase).name,
        "hold_reason": HoldReason(state.hold_reason).name,
        "hold_count": totals.hold_count,
        "holds_by_reason": dict(totals.holds),
        "ordered_holds_by_reason": dict(totals.ordered_holds),
        "unguarded_cycles": totals.unguarded_cycles,
        "late_cycles_ratio": (
            totals.late_cycles / totals.armed_cycles if totals.armed_cycles else None
        ),
        # The guard takes some time: 0 means that it was never asked.
        "guard_us_p50": totals.guard_p50_us or None,
        "guard_us_p999": totals.guard_p999_us or None,
        "servo_cycles": totals.cycles,
        "servo_scheduler": _SCHEDULERS[min(max(state.scheduler, 0), 2)],
        "arm_age_s": state.arm_age_s,
    }


def _compute_age_s(status: Mapping[str, Any]) -> float | None:
    stamp_ns = status.get("stamp_ns")
    if not isinstance(stamp_ns, int):
        return None
    return s_from_ns(time.monotonic_ns() - stamp_ns)


def _parse_tree(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    tree = json.loads(text)
    return tree if isinstance(tree, dict) else {}


def read_status(runtime: Path) -> dict[str, Any]:
    """Read the supervisor's newest status once; empty where there is none."""
    path = runtime / "status"
    if not path.exists():
        return {}
    mailbox = TextMailbox(path, STATUS_CAPACITY)
    try:
        return dict(json.loads(mailbox.read() or "{}"))
    finally:
        mailbox.close()
