"""What is seen of a cell around the moment of a fault, from three sides.

The physics says what the arm was ordered and did, the servo process what it held for,
and the logs which events were recorded. All are put on one monotonic clock.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from cell.contracts.ladder import Rung as LadderRung
from cell.contracts.servo import (
    INTERVENTIONS,
    TIMING_HOLDS,
    HoldReason,
    ServoPhase,
)
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.servo_link import STATE
from sim2real.faults.arm_trace import ArmRecorder, find_first_motion, find_last_motion
from sim2real.faults.rows import Rung
from sim2real.faults.stand import Stand

_PERIOD_S: Final = 0.002
_NS: Final = 1_000_000_000
LADDER_RUNGS: Final = dict(LadderRung.__members__)
"""By the name in the record."""


@dataclass(frozen=True)
class ServoSample:
    """One look at the servo process.

    Attributes:
        seen_ns: the servo process's own stamp of that state, monotonic clock.
        phase: see `ServoPhase`.
        hold_reason: see `HoldReason`.
        arm_age_s: age of the robot's newest sample [s].
        gap_rad: of the joint that is furthest from its setpoint [rad].
        speed_fraction: of the robot's slider.
    """

    seen_ns: int
    phase: ServoPhase
    hold_reason: HoldReason
    arm_age_s: float
    gap_rad: float
    speed_fraction: float


@dataclass(frozen=True)
class LogLine:
    """One recorded event.

    Attributes:
        seen_ns: when it was written, on the monotonic clock.
        source: process that wrote it.
        event: its name.
        fields: what it says.
    """

    seen_ns: int
    source: str
    event: str
    fields: dict[str, Any]


class ServoRecorder:
    """Context manager; looks at the servo process's states while it is open."""

    def __init__(self, runtime: Path) -> None:
        self.samples: list[ServoSample] = []
        self._mailbox = Mailbox.open(runtime / "servo_state", STATE)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._record, name="servo-recorder")

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ends.set()
        self._thread.join()
        self._mailbox.close()

    def _record(self) -> None:
        version = 0
        while not self._ends.wait(_PERIOD_S):
            newest = self._mailbox.version()
            record = None if newest == version else self._mailbox.read()
            if record is None:
                continue
            version = newest
            self.samples.append(
                ServoSample(
                    int(record["stamp_ns"]),
                    ServoPhase(int(record["phase"])),
                    HoldReason(int(record["hold_reason"])),
                    float(record["arm_age_s"]),
                    float(np.max(np.abs(record["q_command"] - record["q"]))),
                    float(record["speed_fraction"]),
                )
            )


class LogReader:
    """Reads what processes append to their logs from now on."""

    def __init__(self, *folders: Path) -> None:
        self._paths = [p for folder in folders for p in sorted(folder.glob("*.jsonl"))]
        self._starts = {path: path.stat().st_size for path in self._paths}
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()

    def read(self) -> list[LogLine]:
        """Return all whole lines since then, in the order of their stamps."""
        lines = [line for path in self._paths for line in self._read_file(path)]
        return sorted(lines, key=lambda line: line.seen_ns)

    def _read_file(self, path: Path) -> Iterator[LogLine]:
        with path.open("rb") as file:
            file.seek(self._starts[path])
            content = file.read()
        for text in content.split(b"\n")[:-1]:
            tree = json.loads(text)
            yield LogLine(
                seen_ns=self._compute_monotonic_ns(tree.pop("timestamp")),
                source=path.stem,
                event=str(tree.pop("event")),
                fields=tree,
            )

    def _compute_monotonic_ns(self, stamp: str) -> int:
        wall_s = datetime.fromisoformat(stamp).timestamp()
        return int(wall_s * _NS) - self._wall_minus_monotonic_ns


@dataclass
class Evidence:
    """Everything that was seen since shortly before a fault.

    Attributes:
        stand: the cell.
        arm: orders and joints.
        servo: states of the servo process.
        log: events.
        onset_ns: when the fault began, monotonic clock.
        repair_ns: when it began to be taken away, 0 before that.
        violations_before: what the world counted before the onset.
        notes: figures from before the onset, by name.
    """

    stand: Stand
    arm: ArmRecorder
    servo: ServoRecorder
    log: LogReader
    onset_ns: int = 0
    repair_ns: int = 0
    violations_before: int = 0
    notes: dict[str, float] = field(default_factory=dict)

    def events(self) -> list[LogLine]:
        """Return what was recorded since the onset."""
        return [line for line in self.log.read() if line.seen_ns >= self.onset_ns]

    def samples(self) -> list[ServoSample]:
        """Return the looks at the servo process since the onset."""
        return [s for s in list(self.servo.samples) if s.seen_ns >= self.onset_ns]

    def find_hold_rung(self) -> Rung:
        """Return R2 where the servo process held by itself since the onset, else R0."""
        reasons = {sample.hold_reason for sample in self.samples()}
        has_held = bool(reasons & (TIMING_HOLDS | INTERVENTIONS))
        # A short one may fall between two looks.
        events = {(line.source, line.event) for line in self.events()}
        has_held |= bool(events & {("servo", "held"), ("servo", "refused")})
        return Rung.HOLD if has_held else Rung.RECORD

    def find_rung(self) -> Rung:
        """Return the highest rung of the reaction ladder since the onset.

        The supervisor records each change about what keeps the cell at rest, and shows
        the present one in its status.
        """
        names = {
            str(line.fields.get("to")) for line in self.events() if line.event == "rung"
        }
        seen = [int(LADDER_RUNGS[name]) for name in names if name in LADDER_RUNGS]
        ladder = self.stand.status().get("ladder") or {}
        seen.append(int(ladder.get("rung", 0)))
        return Rung(f"R{max(seen)}")

    def find_last_motion_ns(self, until_ns: int) -> int | None:
        """Return when the arm was last ordered to move since the onset."""
        return find_last_motion(
            list(self.arm.targets),
            self.onset_ns,
            until_ns,
            states=list(self.arm.states),
        )

    def find_motion_ns(self, from_ns: int, until_ns: int) -> int | None:
        """Return when the arm was first ordered to move within a stretch."""
        return find_first_motion(list(self.arm.targets), from_ns, until_ns)
