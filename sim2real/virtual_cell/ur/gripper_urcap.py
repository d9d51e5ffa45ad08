"""The socket of a Robotiq gripper's URCap (63352): `GET POS`, `SET POS 255 GTO 1`."""

from collections.abc import Callable
from enum import IntEnum

from cell.contracts.robot import GripperObject, RobotMode
from cell.contracts.units import s_from_ns
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.plant import GripperTarget, PlantSample
from sim2real.virtual_cell.ur.sockets import Connection

_FULL = 255
_ACTIVATION_S = 0.6
_SETTLE_S = 0.06  # the fingers need this long to start, so rest before it means nothing
_CONTACT_S = 0.05
_STALL_S = 0.15
_STILL_RATE = 0.02  # of the stroke per second
# Fingers that press on something tremble; travel is what counts, by the resolution of
# the position that the gripper reports.
_TRAVEL = 2.0 / _FULL
_ARRIVED = 1.5 / _FULL
_END_OF_STROKE = 0.04  # fingers that meet each other are at their destination
_RELEASE_SPEED = 30


class Activation(IntEnum):
    """Values of STA."""

    RESET = 0
    ACTIVATING = 1
    ACTIVE = 3


class GripperUrcap:
    """Variables of the gripper and their link to the fingers of the plant."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._values = {"ACT": 1, "GTO": 1, "ATR": 0, "ARD": 0, "FOR": 0, "SPE": 0}
        # A gripper that has power is active: the URCap activates it at start-up.
        self._activation = Activation.ACTIVE
        self._requested: int | None = None
        self._object = GripperObject.MOVING
        self._fault = 0
        self._since_ns = 0
        self._still_since_ns: int | None = None
        self._rest_position = 0.0
        self._was_powered = True

    def step(self, now_ns: int) -> None:
        """Follow the fingers, once per tick."""
        sample = self._arm.sample
        if sample is None:
            return
        if self._requested is None:
            self._requested = round(_FULL * self._arm.gripper.position)
        powered = self._is_powered()
        if self._was_powered and not powered:
            self._reset()
        self._was_powered = powered
        if self._activation is Activation.ACTIVATING:
            if s_from_ns(now_ns - self._since_ns) >= _ACTIVATION_S:
                self._activation = Activation.ACTIVE
            return
        self._detect_object(sample, now_ns)

    def read(self, name: str) -> str:
        """Return the value of a variable, `?` when it cannot be read."""
        sample = self._arm.sample
        if sample is None or not self._is_powered():
            return "?"
        readable: dict[str, Callable[[], int]] = {
            "POS": lambda: round(_FULL * min(1.0, max(0.0, sample.gripper_position))),
            "PRE": lambda: self._requested or 0,
            "OBJ": lambda: int(self._object),
            "STA": lambda: int(self._activation),
            "FLT": lambda: self._fault,
        }
        if name in readable:
            return str(readable[name]())
        return str(self._values[name]) if name in self._values else "?"

    def write(self, changes: dict[str, int], now_ns: int) -> None:
        """Apply one SET; the object status reads 0 from here on if it starts a move."""
        position = changes.pop("POS", None)
        rises = changes.get("ACT") == 1 and self._values["ACT"] == 0
        self._values.update(changes)
        if changes.get("ACT") == 0:
            self._reset()
            return
        if rises and self._is_powered():
            self._activation = Activation.ACTIVATING
            self._since_ns = now_ns
            self._order(0, _FULL, 0)
            return
        if changes.get("ATR") == 1:
            self._release_automatically(now_ns)
        elif self._activation is Activation.ACTIVE and not self._fault:
            self._move(position, now_ns)

    def _move(self, position: int | None, now_ns: int) -> None:
        if position is not None:
            self._requested = position
        if not self._values["GTO"] or not self._is_powered():
            return
        self._order(self._requested or 0, self._values["SPE"], self._values["FOR"])
        self._object = GripperObject.MOVING
        self._since_ns = now_ns
        self._still_since_ns = None

    def _release_automatically(self, now_ns: int) -> None:
        self._requested = 0 if self._values["ARD"] else _FULL
        self._order(self._requested, _RELEASE_SPEED, 0)
        self._object = GripperObject.MOVING
        self._since_ns = now_ns
        self._fault = 0x0F  # automatic release completed

    def _reset(self) -> None:
        self._activation = Activation.RESET
        self._values["ACT"] = self._values["GTO"] = 0
        self._fault = 0
        self._requested = 0

    def _order(self, position: int, speed: int, force: int) -> None:
        self._arm.gripper = GripperTarget(
            position / _FULL, speed / _FULL, force / _FULL
        )

    def _is_powered(self) -> bool:
        return self._arm.safety.robot_mode >= RobotMode.POWER_ON

    def _detect_object(self, sample: PlantSample, now_ns: int) -> None:
        target = self._arm.gripper.position
        gap = target - sample.gripper_position
        position = sample.gripper_position
        if abs(position - self._rest_position) > _TRAVEL:
            self._rest_position = position
            self._still_since_ns = None
            self._object = GripperObject.MOVING
        has_started = s_from_ns(now_ns - self._since_ns) >= _SETTLE_S
        is_quiet = abs(sample.gripper_velocity) <= _STILL_RATE
        at_end = is_quiet and _is_at_end(target, position)
        if abs(gap) <= _ARRIVED or at_end:
            self._object = GripperObject.AT_POSITION
            return
        if self._object is not GripperObject.MOVING:
            return
        if not has_started:
            return
        if self._still_since_ns is None:
            self._still_since_ns = now_ns
        still_s = s_from_ns(now_ns - self._still_since_ns)
        closes = gap > 0.0
        if still_s >= (_CONTACT_S if closes and sample.gripper_contact else _STALL_S):
            self._object = (
                GripperObject.STOPPED_CLOSING
                if closes
                else GripperObject.STOPPED_OPENING
            )


def _is_at_end(target: float, position: float) -> bool:
    closed = target >= 1.0 - _END_OF_STROKE and position >= 1.0 - _END_OF_STROKE
    return closed or (target <= _END_OF_STROKE and position <= _END_OF_STROKE)


class GripperSession:
    """One connection to the gripper's socket."""

    def __init__(self, gripper: GripperUrcap, connection: Connection) -> None:
        self._gripper = gripper
        self._connection = connection

    def receive(self, now_ns: int) -> None:
        """Answer all complete lines in one segment, as the client reads only once."""
        inbox = self._connection.inbox
        *lines, rest = inbox.split(b"\n")
        inbox[:] = rest
        answers = [
            self._answer(line.decode("ascii", "replace"), now_ns) for line in lines
        ]
        if answers:
            self._connection.send("".join(answers).encode())

    def end(self) -> None:
        """Hold nothing, release nothing."""

    def _answer(self, line: str, now_ns: int) -> str:
        words = line.upper().split()
        if len(words) == 2 and words[0] == "GET":
            return f"{words[1]} {self._gripper.read(words[1])}\n"
        if len(words) >= 3 and words[0] == "SET":
            changes = _parse_changes(words[1:])
            if changes is not None:
                self._gripper.write(changes, now_ns)
                return "ack"  # without an end of line, on the real gripper as well
        return "?\n"


def _parse_changes(words: list[str]) -> dict[str, int] | None:
    known = {"ACT", "GTO", "ATR", "ARD", "FOR", "SPE", "POS"}
    names, numbers = words[::2], words[1::2]
    if len(names) != len(numbers) or not known.issuperset(names):
        return None
    try:
        values = [int(float(number)) for number in numbers]
    except (ValueError, OverflowError):
        return None
    return {n: min(_FULL, max(0, v)) for n, v in zip(names, values, strict=True)}
