"""The mailboxes between the supervisor and the servo process."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from cell.contracts.chunk import LONGEST_CHUNK, TimedChunk
from cell.contracts.geometry import Pose
from cell.contracts.servo import (
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.mailbox.seqlock import Mailbox

COMMAND = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("command_id", "<i8"),
        ("arm_id", "<i8"),
        ("mode", "<i8"),
        ("q_target", "<f8", (6,)),
        ("tcp_position_m", "<f8", (3,)),
        ("tcp_quat_wxyz", "<f8", (4,)),
        ("speed_ratio", "<f8"),
        ("arrival_rad", "<f8"),
        ("payload_kg", "<f8"),
        ("part_radius_m", "<f8"),
        ("part_length_m", "<f8"),
        ("action", "<f8", (6,)),
        ("chunk_id", "<i8"),
    ]
)
"""Supervisor -> servo, mailbox `servo_command`."""

CHUNK = np.dtype(
    [
        ("chunk_id", "<i8"),
        ("after_id", "<i8"),
        ("after_s", "<f8"),
        ("step_s", "<f8"),
        ("rows", "<i8"),
        ("q", "<f8", (LONGEST_CHUNK, 6)),
    ]
)
"""Supervisor -> servo, mailbox `servo_chunk`; written before its order is."""

STATE = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("cycle", "<i8"),
        ("phase", "<i8"),
        ("hold_reason", "<i8"),
        ("hold_count", "<i8"),
        ("hold_counts", "<f8", (len(HoldReason),)),
        ("command_id", "<i8"),
        ("reached_id", "<i8"),
        ("arm_id", "<i8"),
        ("chunk_id", "<i8"),
        ("chunk_s", "<f8"),
        ("q", "<f8", (6,)),
        ("qd", "<f8", (6,)),
        ("q_command", "<f8", (6,)),
        ("tcp_position_m", "<f8", (3,)),
        ("tcp_quat_wxyz", "<f8", (4,)),
        ("force_tcp_n", "<f8", (6,)),
        ("robot_mode", "<i8"),
        ("safety_status_bits", "<i8"),
        ("speed_fraction", "<f8"),
        ("arm_age_s", "<f8"),
        ("armed_cycles", "<i8"),
        ("late_cycles", "<i8"),
        ("unguarded_cycles", "<i8"),
        ("guard_p50_us", "<f8"),
        ("guard_p999_us", "<f8"),
        ("scheduler", "<i8"),
        ("period_s", "<f8"),
    ]
)
"""Servo -> supervisor and everyone who looks on, mailbox `servo_state`."""


class ServoLink:
    """Encodes commands and states; attached by both sides."""

    def __init__(self, commands: Mailbox, states: Mailbox, chunks: Mailbox) -> None:
        self._commands = commands
        self._states = states
        self._chunks = chunks
        self._chunk: TimedChunk | None = None
        self._command_record = np.zeros((), COMMAND)
        self._state_record = np.zeros((), STATE)
        self._command_version = 0
        self._command: ServoCommand | None = None

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Create or attach to the three mailboxes in `directory`.

        Raises:
            ConfigError: a file there has another layout.
        """
        return cls(
            Mailbox.open(directory / "servo_command", COMMAND),
            Mailbox.open(directory / "servo_state", STATE),
            Mailbox.open(directory / "servo_chunk", CHUNK),
        )

    def write_command(self, command: ServoCommand) -> None:
        """Publish an order, or the same order with a new stamp."""
        chunk = command.chunk
        if chunk is not None and chunk is not self._chunk:
            self._chunks.write(_encode_chunk(chunk))
            self._chunk = chunk
        self._commands.write(_encode_command(self._command_record, command))

    def read_command(self) -> ServoCommand | None:
        """Return the newest order, None when there was never one.

        An unreadable record yields the last one read: its stamp goes stale by itself.
        """
        version = self._commands.version()
        if version == self._command_version:
            return self._command
        record = self._commands.read()
        if record is not None:
            self._command = self._attach_chunk(_decode_command(record))
            self._command_version = version
        return self._command

    def write_state(self, state: ServoState) -> None:
        """Publish the state of one cycle."""
        self._states.write(_encode_state(self._state_record, state))

    def read_state(self) -> ServoState | None:
        """Return the newest state, None when there is no whole one."""
        record = self._states.read()
        return None if record is None else _decode_state(record)

    def close(self) -> None:
        """Unmap all of them. The files stay."""
        self._commands.close()
        self._states.close()
        self._chunks.close()

    def _attach_chunk(self, command: ServoCommand) -> ServoCommand:
        """Return an order with the chunk that it names, read once."""
        wanted_id = command.chunk_id
        if wanted_id == 0:
            return command
        if self._chunk is None or self._chunk.chunk_id != wanted_id:
            record = self._chunks.read()
            self._chunk = None if record is None else _decode_chunk(record)
        if self._chunk is None or self._chunk.chunk_id != wanted_id:
            return command
        return replace(command, chunk=self._chunk)


def _encode_command(record: Any, command: ServoCommand) -> Any:
    record[()] = (
        command.stamp_ns,
        command.command_id,
        command.arm_id,
        int(command.mode),
        command.q_target,
        command.base_from_tcp.position_m,
        command.base_from_tcp.quat_wxyz,
        command.speed_ratio,
        command.arrival_rad,
        command.payload_kg,
        command.part_radius_m,
        command.part_length_m,
        command.action,
        command.chunk_id,
    )
    return record


def _encode_chunk(chunk: TimedChunk) -> Any:
    record = np.zeros((), CHUNK)
    rows = min(len(chunk.q), LONGEST_CHUNK)
    for name in ("chunk_id", "after_id", "after_s", "step_s"):
        record[name] = getattr(chunk, name)
    record["rows"] = rows
    record["q"][:rows] = chunk.q[:rows]
    return record


def _decode_chunk(record: np.void) -> TimedChunk:
    rows = min(max(int(record["rows"]), 0), LONGEST_CHUNK)
    return TimedChunk(
        chunk_id=int(record["chunk_id"]),
        after_id=int(record["after_id"]),
        after_s=float(record["after_s"]),
        step_s=float(record["step_s"]),
        q=record["q"][:rows].copy(),
    )


def _decode_command(record: np.void) -> ServoCommand:
    fields = _name_fields(record)
    fields["mode"] = MotionMode(fields["mode"])
    return ServoCommand(**fields)


def _encode_state(record: Any, state: ServoState) -> Any:
    record[()] = (
        state.stamp_ns,
        state.cycle,
        int(state.phase),
        int(state.hold_reason),
        state.hold_count,
        state.hold_counts,
        state.command_id,
        state.reached_id,
        state.arm_id,
        state.chunk_id,
        state.chunk_s,
        state.q,
        state.qd,
        state.q_command,
        state.base_from_tcp.position_m,
        state.base_from_tcp.quat_wxyz,
        state.force_tcp_n,
        state.robot_mode,
        state.safety_status_bits,
        state.speed_fraction,
        state.arm_age_s,
        state.armed_cycles,
        state.late_cycles,
        state.unguarded_cycles,
        state.guard_p50_us,
        state.guard_p999_us,
        state.scheduler,
        state.period_s,
    )
    return record


def _decode_state(record: np.void) -> ServoState:
    fields = _name_fields(record)
    fields["phase"] = ServoPhase(fields["phase"])
    fields["hold_reason"] = HoldReason(fields["hold_reason"])
    return ServoState(**fields)


def _name_fields(record: np.void) -> dict[str, Any]:
    """Return a record as the arguments of its class; all at once, for speed."""
    fields = dict(zip(record.dtype.names or (), record.item(), strict=True))
    fields["base_from_tcp"] = Pose(
        fields.pop("tcp_position_m"), fields.pop("tcp_quat_wxyz")
    )
    return fields
