"""The controller: one thread, one select loop, one tick every 2 ms.

The clients block inside calls that hold their interpreter's lock, so this has to run in
a process of its own.
"""

import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from cell.contracts.units import ns_from_s, s_from_ns
from sim2real.scene.force_noise import ForceNoise
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.control_script import ProgramRunner
from sim2real.virtual_cell.ur.dashboard import (
    OTHER_SERIAL_NUMBER,
    SERIAL_NUMBER,
    Dashboard,
    DashboardSession,
)
from sim2real.virtual_cell.ur.faults import FaultBox, UrFault
from sim2real.virtual_cell.ur.gripper_urcap import GripperSession, GripperUrcap
from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.motion import PERIOD_S
from sim2real.virtual_cell.ur.plant import JointPlant
from sim2real.virtual_cell.ur.publication import Publication
from sim2real.virtual_cell.ur.rtde_server import RtdeHub
from sim2real.virtual_cell.ur.safety_state import UNLOCK_WAIT_S, SafetyState
from sim2real.virtual_cell.ur.script_port import take_programs
from sim2real.virtual_cell.ur.sockets import Connection, Listener, Session

_PERIOD_NS = ns_from_s(PERIOD_S)
_CATCH_UP_TICKS = 3
_CONNECTION_LIMIT = 100


@dataclass(frozen=True)
class Ports:
    """Ports of the controller; clients have the first three built in."""

    rtde: int = 30004
    script: int = 30003
    dashboard: int = 29999
    gripper: int = 63352


class ScriptSession:
    """One connection to the script port; nothing is ever sent on it."""

    def __init__(
        self,
        runner: ProgramRunner,
        connection: Connection,
        report: Callable[[str], None],
    ) -> None:
        self._runner = runner
        self._connection = connection
        self._report = report

    def receive(self, now_ns: int) -> None:  # noqa: ARG002
        """Start what has arrived completely."""
        try:
            programs = take_programs(self._connection.inbox)
        except ValueError as error:
            self._report(f"uploaded program refused: {error}")
            self._connection.inbox.clear()
            return
        for program in programs:
            self._runner.submit(program)

    def end(self) -> None:
        """A program outlives the connection that brought it."""


class UrController:
    """A virtual UR5e controller with its gripper.

    Args:
        plant: what it moves.
        host: address to listen on; clients allow one controller per address.
        ports: see `Ports`.
        faults: requests for faults, if any shall be possible.
        unlock_wait_s: time after a protective stop during which unlocking is refused.
        report: called with one sentence at every change of state.
        force_noise: what the force sensor adds; nothing when there is none.

    Raises:
        OSError: a port is taken or the address is not of this machine.
    """

    def __init__(
        self,
        plant: JointPlant,
        host: str = "127.0.0.1",
        ports: Ports = Ports(),
        *,
        faults: FaultBox | None = None,
        unlock_wait_s: float = UNLOCK_WAIT_S,
        report: Callable[[str], None] = lambda _: None,
        force_noise: ForceNoise | None = None,
    ) -> None:
        self.arm = Arm(plant, SafetyState(report, unlock_wait_s))
        self.inputs = InputBank()
        self.runner = ProgramRunner(self.arm, self.inputs, OutputImage(), report)
        self._image = self.runner.image
        self._hub = RtdeHub(self._image, self.inputs)
        self._gripper = GripperUrcap(self.arm)
        self._publication = Publication(
            self._image, self.inputs, self.arm, self.runner, force_noise
        )
        self._dashboard = Dashboard(self.arm, self.runner)
        self._faults = faults
        self._report = report
        self._tick = 0
        self._frozen_until_ns = 0
        self._work_s = 0.0
        self._sessions: dict[Connection, Session] = {}
        self._connections: dict[int, Connection] = {}
        self._listeners: dict[int, Listener] = {}
        self._listen(host, ports)

    def run(self, is_stopped: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Serve until asked to stop; `beat` is called once per tick."""
        deadline_ns = time.monotonic_ns()
        while not is_stopped():
            now_ns = time.monotonic_ns()
            if now_ns >= deadline_ns:
                late = (now_ns - deadline_ns) // _PERIOD_NS
                if late > _CATCH_UP_TICKS:
                    # The controller's clock stands still while its process does, as
                    # every watchdog on it: the arm must not hurry after lost time.
                    deadline_ns += late * _PERIOD_NS
                if late:
                    # What clients sent meanwhile is in time, only we are late.
                    self._serve(0.0)
                self.step(now_ns)
                self._work_s = s_from_ns(time.monotonic_ns() - now_ns)
                beat()
                deadline_ns += _PERIOD_NS
            self._serve(max(0.0, s_from_ns(deadline_ns - time.monotonic_ns())))

    def step(self, now_ns: int) -> None:
        """Run one tick of 2 ms."""
        self._tick += 1
        self._take_fault(now_ns)
        self.arm.motion.speed_fraction = self.inputs.speed_fraction
        self.arm.sense(now_ns)
        self.runner.step(now_ns)
        self._gripper.step(now_ns)
        self.arm.act(now_ns)
        self._publication.write(self._tick, self._work_s)
        if now_ns >= self._frozen_until_ns:
            self._hub.publish(self._tick)

    def inject(self, fault: UrFault, value: float, now_ns: int) -> None:
        """Let a fault happen now."""
        safety = self.arm.safety
        match fault:
            case UrFault.PROTECTIVE_STOP:
                self.arm.stop_protectively("injected", now_ns)
            case UrFault.EMERGENCY_STOP:
                safety.press_emergency_stop()
            case UrFault.SAFEGUARD_STOP:
                safety.open_safeguard()
            case UrFault.RELEASE:
                safety.release_inputs()
            case UrFault.FREEZE_RTDE:
                self._frozen_until_ns = now_ns + ns_from_s(value)
            case UrFault.SPEED_SLIDER:
                self.inputs.speed_fraction = min(1.0, max(0.0, value))
            case UrFault.DROP_CONNECTIONS:
                self._drop_connections()
            case UrFault.OTHER_ROBOT:
                self._change_robot(is_other=value != 0.0)

    def _change_robot(self, *, is_other: bool) -> None:
        """Stand in for another robot: no connection survives an exchange."""
        self._dashboard.serial_number = (
            OTHER_SERIAL_NUMBER if is_other else SERIAL_NUMBER
        )
        self._drop_connections()

    def _drop_connections(self) -> None:
        for connection in list(self._connections.values()):
            connection.is_closed = True
        self._reap()

    def close(self) -> None:
        """Close all sockets, which tells every client at once."""
        self._drop_connections()
        for listener in self._listeners.values():
            listener.sock.close()
        self._listeners.clear()

    def _listen(self, host: str, ports: Ports) -> None:
        protocols: tuple[tuple[int, Callable[[Connection], Session]], ...] = (
            (ports.rtde, self._hub.open_session),
            (ports.script, lambda c: ScriptSession(self.runner, c, self._report)),
            (ports.dashboard, lambda c: DashboardSession(self._dashboard, c)),
            (ports.gripper, lambda c: GripperSession(self._gripper, c)),
        )
        try:
            for port, make_session in protocols:
                listener = Listener(host, port, make_session)
                self._listeners[listener.sock.fileno()] = listener
        except OSError:
            self.close()
            raise

    def _take_fault(self, now_ns: int) -> None:
        request = self._faults.take() if self._faults is not None else None
        if request is not None:
            self.inject(*request, now_ns)

    def _serve(self, timeout_s: float) -> None:
        """Wait for bytes until the next tick is due and answer them at once."""
        writing = [fd for fd, conn in self._connections.items() if conn.outbox]
        reading = [*self._connections, *self._listeners]
        readable, writable, _ = select.select(reading, writing, (), timeout_s)
        if not readable and not writable:
            return
        now_ns = time.monotonic_ns()
        active = [self._connections[fd] for fd in readable if fd in self._connections]
        for connection in active:
            connection.read()
        for fd in writable:
            self._connections[fd].flush()
        # A client that comes back at once needs the inputs of its old connection, so
        # ends are handled before anything that was sent.
        self._reap()
        for connection in active:
            if not connection.is_closed:
                self._sessions[connection].receive(now_ns)
        for fd in readable:
            if fd in self._listeners:
                self._accept(self._listeners[fd])
        self._reap()

    def _accept(self, listener: Listener) -> None:
        connection = listener.accept()
        if connection is None:
            return
        if len(self._connections) >= _CONNECTION_LIMIT:
            connection.sock.close()
            return
        self._connections[connection.sock.fileno()] = connection
        self._sessions[connection] = listener.make_session(connection)

    def _reap(self) -> None:
        for fd, connection in list(self._connections.items()):
            if connection.is_closed:
                del self._connections[fd]
                self._sessions.pop(connection).end()
                connection.sock.close()
