"""What a command of the control script may see and change."""

from collections.abc import Callable
from dataclasses import dataclass

from cell.contracts.units import s_from_ns
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.joint_motion import JointGenerator, PathMove
from sim2real.virtual_cell.ur.script_memory import ScriptMemory
from sim2real.virtual_cell.ur.script_port import PathLeg

Wait = Callable[[], bool]
"""Asked once per tick whether a blocking command has come to its end."""


@dataclass(frozen=True)
class Watchdog:
    """Least rate at which the client has to write, and since when."""

    silence_s: float
    armed_ns: int


class ScriptContext:
    """State of one run of the control script."""

    def __init__(
        self, arm: Arm, memory: ScriptMemory, path: tuple[PathLeg, ...]
    ) -> None:
        self.arm = arm
        self.memory = memory
        self.path = path
        self.now_ns = 0
        self.wait: Wait | None = None
        self.is_executed = False
        self.watchdog: Watchdog | None = None
        self.free_axes: tuple[int, ...] | None = None
        self.detects_contact = False
        self._has_operation = False
        self._moving_path: PathMove | None = None
        self._leg = -1

    def is_watchdog_expired(self, now_ns: int) -> bool:
        """Tell whether the client has been silent for longer than it promised."""
        if self.watchdog is None:
            return False
        since_ns = max(self.watchdog.armed_ns, self.memory.fed_ns)
        return s_from_ns(now_ns - since_ns) > self.watchdog.silence_s

    def start_move(self, make: Callable[[tuple[float, ...]], JointGenerator]) -> None:
        """Start a motion from rest; an asynchronous one before it is given up."""
        self.drop_operation()
        self.arm.motion.start_from_rest(make)

    def follow_path(self, path: PathMove) -> PathMove:
        """Signal the progress of a path as it goes on."""
        self._moving_path, self._leg = path, -1
        return path

    def run_operation(self) -> None:
        """Signal that the motion just started runs in the background."""
        self.memory.signal_progress(0)
        self._has_operation = True

    def drop_operation(self) -> None:
        """Signal the end of a background motion, if there is one."""
        self._moving_path = None
        if self._has_operation:
            self._has_operation = False
            self.memory.signal_finished()

    def step_background(self) -> None:
        """Signal progress and end of background motion."""
        path = self._moving_path
        if path is not None and path.leg_index != self._leg and not path.is_done:
            self._leg = path.leg_index
            self.memory.signal_progress(self._leg)
        if self._has_operation and self.arm.motion.is_resting:
            self.drop_operation()
