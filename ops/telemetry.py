"""Reads what the processes of a running controller publish in shared memory."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cell.contracts.servo import HoldReason, ServoPhase, ServoState
from cell.contracts.units import s_from_ns
from cell.mailbox.servo_link import ServoLink
from cell.mailbox.text import TextMailbox

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
        servo_age_s: age of the servo figures [s].
    """

    status: dict[str, Any] = field(default_factory=dict)
    servo: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    servo_age_s: float | None = None


class TelemetryReader:
    """Attached to the mailboxes of one runtime directory."""

    def __init__(self, runtime: Path) -> None:
        self._status = TextMailbox(runtime / "status", STATUS_CAPACITY)
        self._world = TextMailbox(runtime / "vc_report", STATUS_CAPACITY)
        self._servo = ServoLink.open(runtime)

    def read(self) -> Telemetry:
        """Return the newest figures of every source."""
        state = self._servo.read_state()
        age_s = None
        if state is not None:
            age_s = s_from_ns(time.monotonic_ns() - state.stamp_ns)
        return Telemetry(
            status=_parse_tree(self._status.read()),
            servo={} if state is None else compute_servo_figures(state),
            world=_parse_tree(self._world.read()),
            servo_age_s=age_s,
        )


def compute_servo_figures(state: ServoState) -> dict[str, Any]:
    """Turn a servo state into the figures of view and report."""
    return {
        "phase": ServoPhase(state.phase).name,
        "hold_reason": HoldReason(state.hold_reason).name,
        "hold_count": int(state.hold_count),
        "holds": {
            reason.name: int(state.hold_counts[reason])
            for reason in HoldReason
            if state.hold_counts[reason]
        },
        "unguarded_cycles": int(state.unguarded_cycles),
        "late_cycles_ratio": state.late_cycles / max(state.cycle, 1),
        "guard_us_p50": state.guard_p50_us,
        "guard_us_p999": state.guard_p999_us,
        "servo_cycles": int(state.cycle),
        "servo_scheduler": _SCHEDULERS[min(max(state.scheduler, 0), 2)],
        "arm_age_s": state.arm_age_s,
    }


def _parse_tree(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    tree = json.loads(text)
    return tree if isinstance(tree, dict) else {}
