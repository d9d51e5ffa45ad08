"""The cyclic exchange with the line PLC, and what the supervisor makes of it.

Any failure ends a connection; the next one starts over. Commands count on their rising
edge only, and a strobe that is up when a connection begins is no edge: a returning
link never starts anything.
"""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from cell.contracts.drivers import Clock, PlcLink
from cell.contracts.errors import DriverError, FaultCode
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.part_handshake import PartHandshake
from cell.supervisor.ports import Layout
from cell.supervisor.states import Command, Mode

# One lost answer must be made up for within the silence that counts as a loss.
_FIRST_BACKOFF_S = 0.01
_LONGEST_BACKOFF_S = 2.0
# While the arm moves, the line is asked this much more often, so that the arm stands
# within 0.2 s of the line's last answer, with its ramp and the lag of the robot.
_MOVING_RATIO = 0.5
_QUIET_PERIODS = 1.8
_LINE = "plc"
_DEAD_CODES = (FaultCode.PLC_HEARTBEAT_LOST, FaultCode.PLC_MAP_MISMATCH)


@dataclass(frozen=True)
class LineTiming:
    """Periods of the exchange.

    Attributes:
        period_s: between exchanges [s].
        timeout_s: silence after which the line counts as lost [s].
        moving_period_s: the same while the arm moves [s].
    """

    period_s: float
    timeout_s: float
    moving_period_s: float


def make_line_timing(layout: Layout) -> LineTiming:
    """Return the timing with which a loss is answered within its time-out.

    The decision loop may look one turn late and act in the next.
    """
    margin_s = 2 * layout.timing.command_period_s
    timeout_s = layout.plc_timeout_s - margin_s
    moving_period_s = _MOVING_RATIO * layout.plc_period_s
    return LineTiming(layout.plc_period_s, timeout_s, moving_period_s)


class EdgeReader:
    """Turns code and strobe into one request for each rising edge. Pure."""

    def __init__(self) -> None:
        self._was_up = True
        self.is_up = False

    def follow(self, *, strobe: bool, code: int) -> int | None:
        """Return the code on a rising edge of its strobe."""
        is_edge = strobe and not self._was_up
        self._was_up = self.is_up = strobe
        return code if is_edge else None


class PlcExchange:
    """Keeps the conversation going and holds what was said last.

    Attributes:
        detail: why the line is not valid, empty while it is.
        boots: how often the line was seen to have restarted.
        losses: how often its program was found dead or not ours.
        is_map_mismatched: the last connection failed on the register map.
        bin_present_since_ns: when the line last said that the bin came into place.
        handshake: about the part that was placed last.
        note_confirmed: hears of every block of ours that the line was read to hold.
    """

    def __init__(
        self,
        open_plc: Callable[[], AbstractAsyncContextManager[PlcLink]],
        timing: LineTiming,
        clock: Clock,
        rng: random.Random,
        make_outputs: Callable[[], PlcOutputs],
        is_moving: Callable[[], bool],
    ) -> None:
        self.detail = "not connected yet"
        self.boots = 0
        self.losses = 0
        self.is_map_mismatched = False
        self.bin_present_since_ns = 0
        self.handshake = PartHandshake()
        self.note_confirmed: Callable[[PlcOutputs], None] = lambda _held: None
        self._open = open_plc
        self._timing = timing
        self._clock = clock
        self._rng = rng
        self._make_outputs = make_outputs
        self._is_moving = is_moving
        self._inputs: PlcInputs | None = None
        self._good_ns: int | None = None
        self._expected_ns = 0
        self._boot_id: int | None = None
        self._edges = _Edges()
        self._acknowledged = 0
        self._lost_write = ""

    async def run(self) -> None:
        """Exchange until cancelled."""
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                async with self._open() as link:
                    self._edges.restart()
                    self.is_map_mismatched = False
                    while True:
                        await self._exchange_once(link)
                        backoff_s = _FIRST_BACKOFF_S
            except DriverError as error:
                self._note_failure(error)
            # Jitter keeps several cells from knocking at a rebooted PLC in step.
            await self._sleep(backoff_s * self._rng.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)

    def read_inputs(self) -> PlcInputs | None:
        """Return the newest block, None when it is too old to act on."""
        return self._inputs if self.is_valid() else None

    def is_valid(self) -> bool:
        """Say whether the line is alive."""
        return self.age_s() <= self._timing.timeout_s

    def is_quiet(self) -> bool:
        """Say whether the line's answer is late, so that the arm had better wait."""
        return self._clock.now_ns() > self._expected_ns

    def age_s(self) -> float:
        """Return the time since the line's counter was last seen to move [s]."""
        if self._good_ns is None:
            return float("inf")
        return s_from_ns(self._clock.now_ns() - self._good_ns)

    def take_command(self) -> Command | None:
        """Return the command of a new strobe, once."""
        code, self._edges.command = self._edges.command, None
        if code is None:
            return None
        try:
            return Command(code)
        except ValueError:
            return Command.UNDEFINED

    def take_mode(self) -> Mode | None:
        """Return the mode of a new strobe, once."""
        code, self._edges.mode = self._edges.mode, None
        if code is None:
            return None
        try:
            return Mode(code)
        except ValueError:
            return Mode.INVALID

    def take_acknowledgement(self) -> str | None:
        """Return who acknowledged the fault since the last call, None when nobody did.

        It is empty when nobody was logged in at the line.
        """
        taken, self._edges.acknowledged_by = self._edges.acknowledged_by, None
        return taken

    def name_source(self) -> str:
        """Return who commands at the line now: a person, or the line itself."""
        person = "" if self._inputs is None else name_person(self._inputs)
        return person or _LINE

    def take_lost_write(self) -> str:
        """Return what the line was found not to hold since the last call."""
        taken, self._lost_write = self._lost_write, ""
        return taken

    def acknowledge(self, command: Command) -> None:
        """Show the line that its command was accepted, until its strobe falls."""
        self._acknowledged = int(command)

    @property
    def command_ack(self) -> int:
        """The accepted command while its strobe is up, else 0."""
        return self._acknowledged

    @property
    def heartbeat_echo(self) -> int:
        """The line's counter as last read."""
        return 0 if self._inputs is None else self._inputs.heartbeat

    async def _exchange_once(self, link: PlcLink) -> None:
        started_ns = self._clock.now_ns()
        outputs = self._make_outputs()
        inputs = await link.exchange(outputs)
        # The link has read our block back, and it was this one.
        self.note_confirmed(outputs)
        self._note_inputs(inputs)
        timing = self._timing
        period_s = timing.moving_period_s if self._is_moving() else timing.period_s
        patience_ns = ns_from_s(_QUIET_PERIODS * period_s)
        self._expected_ns = self._clock.now_ns() + patience_ns
        await self._clock.sleep_until_ns(started_ns + ns_from_s(period_s))

    def _note_inputs(self, inputs: PlcInputs) -> None:
        now_ns = self._clock.now_ns()
        was_present = self._inputs is not None and self._inputs.bin_present
        if inputs.bin_present and not was_present:
            self.bin_present_since_ns = now_ns
        if self._boot_id is not None and inputs.boot_id != self._boot_id:
            self.boots += 1
        self._boot_id = inputs.boot_id
        # Alive is a counter that moves; a connection alone, also a new one, is not.
        if self._inputs is not None and inputs.heartbeat != self._inputs.heartbeat:
            self._good_ns, self.detail = now_ns, ""
        self._inputs = inputs
        self._edges.follow(inputs)
        if not inputs.command_request:
            self._acknowledged = 0
        self.handshake.follow(part_taken=inputs.part_taken, now_ns=now_ns)

    def _note_failure(self, error: DriverError) -> None:
        self.detail = error.detail
        self._acknowledged = 0
        if error.code is FaultCode.PLC_MAP_MISMATCH:
            self.is_map_mismatched = True
        if error.code is FaultCode.PLC_WRITE_LOST:
            self._lost_write = error.detail
        if error.code in _DEAD_CODES:
            # The program behind the link is not alive: no patience for that.
            self._good_ns = None
            self.losses += 1

    async def _sleep(self, duration_s: float) -> None:
        await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(duration_s))


class _Edges:
    """Requests of the line that nobody has taken yet."""

    def __init__(self) -> None:
        self.command: int | None = None
        self.mode: int | None = None
        self.acknowledged_by: str | None = None
        self.restart()

    def restart(self) -> None:
        """Forget everything: levels of a new connection are no edges."""
        self.command, self.mode, self.acknowledged_by = None, None, None
        self._command_edge, self._mode_edge = EdgeReader(), EdgeReader()
        self._ack_edge = EdgeReader()

    def follow(self, inputs: PlcInputs) -> None:
        """Look for rising strobes in one block."""
        command = self._command_edge.follow(
            strobe=inputs.command_request, code=inputs.command
        )
        mode = self._mode_edge.follow(
            strobe=inputs.unit_mode_request, code=inputs.unit_mode
        )
        ack = self._ack_edge.follow(strobe=inputs.fault_ack, code=1)
        self.command = self.command if command is None else command
        self.mode = self.mode if mode is None else mode
        if ack is not None:
            self.acknowledged_by = name_person(inputs)


def name_person(inputs: PlcInputs) -> str:
    """Return the name by which the record knows who is logged in at the line."""
    return f"{_LINE}:{inputs.person_id}" if inputs.person_id > 0 else ""
