"""The pair of mailboxes between the supervisor and the servo process."""

from pathlib import Path
from typing import Any, Self

import numpy as np

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
    ]
)
"""Supervisor -> servo, mailbox `servo_command`."""

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

    def __init__(self, commands: Mailbox, states: Mailbox) -> None:
        self._commands = commands
        self._states = states
        self._command_record = np.zeros((), COMMAND)
        self._state_record = np.zeros((), STATE)
        self._command_version = 0
        self._command: ServoCommand | None = None

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Create or attach to `servo_command` and `servo_state` in `directory`.

        Raises:
            ConfigError: a file there has another layout.
        """
        return cls(
            Mailbox.open(directory / "servo_command", COMMAND),
            Mailbox.open(directory / "servo_state", STATE),
        )

    def write_command(self, command: ServoCommand) -> None:
        """Publish an order, or the same order with a new stamp."""
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
            self._command = _decode_command(record)
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
        """Unmap both. The files stay."""
        self._commands.close()
        self._states.close()


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
    )
    return record


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
