"""The program that runs on the controller, as a state machine stepped once per tick.

The handshake is that of the control script of `ur_rtde`: a command register, a state
register, and background motion that outlives the command which started it.
"""

from collections.abc import Callable
from enum import IntEnum

from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.commands import COMMANDS, REAL_TIME
from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.motion import (
    MOTION_FAULTS,
    PROGRAM_END_DECELERATION,
)
from sim2real.virtual_cell.ur.script_context import ScriptContext
from sim2real.virtual_cell.ur.script_memory import DONE, READY, ScriptMemory
from sim2real.virtual_cell.ur.script_port import Program

_STOP_SCRIPT = 255
_START_TICKS = 3  # a program that replaces another shows as stopped for this long


class RuntimeState(IntEnum):
    """Values of `runtime_state`."""

    STOPPING = 0
    STOPPED = 1
    PLAYING = 2
    PAUSING = 3
    PAUSED = 4
    RESUMING = 5


class ProgramRunner:
    """Starts, steps, pauses and ends the one program of the controller."""

    def __init__(
        self,
        arm: Arm,
        inputs: InputBank,
        image: OutputImage,
        report: Callable[[str], None],
    ) -> None:
        self.state = RuntimeState.STOPPED
        self._arm = arm
        self._inputs = inputs
        self.image = image
        self._report = report
        self._program: Program | None = None
        self._pending: tuple[Program, int] | None = None
        self._context: ScriptContext | None = None
        self._tick = 0
        self._is_doomed = False

    @property
    def is_running(self) -> bool:
        """Whether a program is playing or paused."""
        return self.state is not RuntimeState.STOPPED

    def submit(self, program: Program) -> None:
        """End what runs and start a program, unless the arm may not move."""
        self.end("replaced")
        if not self._arm.safety.may_move:
            self._report(f"program {program.name} refused: the robot is stopped")
            return
        self._pending = (program, _START_TICKS)

    def end(self, reason: str) -> None:
        """End the program and ramp to rest; output registers stay as they are."""
        self._pending = None
        if not self.is_running:
            return
        self._program = self._context = None
        self._is_doomed = False
        self.state = RuntimeState.STOPPED
        self._report(f"program ended: {reason}")
        self._arm.motion.is_paused = False
        if self._arm.safety.may_move:
            self._arm.motion.stop(PROGRAM_END_DECELERATION)

    def pause(self) -> bool:
        """Pause a playing program; its motion slows down along its path."""
        if self.state is not RuntimeState.PLAYING:
            return False
        self.state = RuntimeState.PAUSED
        self._arm.motion.is_paused = True
        return True

    def resume(self) -> bool:
        """Go on with a program that was paused by a person, not by a stop."""
        if self.state is not RuntimeState.PAUSED or self._is_doomed:
            return False
        self.state = RuntimeState.PLAYING
        self._arm.motion.is_paused = False
        return True

    def step(self, now_ns: int) -> None:
        """Run one tick."""
        self._follow_stops()
        self._start_pending()
        if self.state is not RuntimeState.PLAYING or self._program is None:
            return
        if self._context is not None:
            self._step_control(self._context, now_ns)
        elif self._program.offset is not None:
            self._step_custom(self._program.offset)

    def _follow_stops(self) -> None:
        """A stop pauses the program; its release ends it: nothing resumes by itself."""
        if not self.is_running:
            return
        if not self._arm.safety.may_move:
            self.state = RuntimeState.PAUSED
            self._is_doomed = True
        elif self._is_doomed:
            self.end("the robot was stopped meanwhile")

    def _start_pending(self) -> None:
        if self._pending is None:
            return
        program, ticks = self._pending
        if ticks > 0:
            self._pending = (program, ticks - 1)
            return
        self._pending = None
        if not self._arm.safety.may_move:
            return
        self._program = program
        self.state = RuntimeState.PLAYING
        self._tick = 0
        self._report(f"program {program.name} started")
        if program.is_control_script:
            offset = program.offset or 0
            # A client that died may have left a command behind.
            self._inputs.set_int(offset, 0)
            memory = ScriptMemory(self._inputs, self.image, offset)
            memory.signal_finished()
            memory.write_state(READY)
            self._context = ScriptContext(self._arm, memory, program.path)

    def _step_custom(self, offset: int) -> None:
        """Imitate a short function: state 1 first, state 2 on a later tick, end."""
        self._tick += 1
        if self._tick == 1:
            self.image.set_int_register(offset, READY)
        elif self._tick == 4:
            self.image.set_int_register(offset, DONE)
        elif self._tick == 8:
            self.end("finished")

    def _step_control(self, context: ScriptContext, now_ns: int) -> None:
        context.now_ns = now_ns
        try:
            context.step_background()
            self._run_command(context)
        except MOTION_FAULTS as fault:
            self._arm.stop_protectively(str(fault), now_ns)
        if context.is_watchdog_expired(now_ns):
            self.end("watchdog of the client's messages expired")

    def _run_command(self, context: ScriptContext) -> None:
        if context.wait is not None:
            if not context.wait():
                return
            context.wait = None
            context.is_executed = True
            context.memory.write_state(DONE)
            return
        command = context.memory.command
        if command == _STOP_SCRIPT:
            self.end("by command")
            return
        if command in REAL_TIME:
            REAL_TIME[command](context)
            context.memory.write_state(READY)
        elif command == 0:
            context.is_executed = False
            context.memory.write_state(READY)
        elif not context.is_executed:
            action = COMMANDS.get(command)
            if action is not None:
                context.wait = action(context)
            if context.wait is None:
                context.is_executed = True
                context.memory.write_state(DONE)
