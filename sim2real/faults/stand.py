"""A whole cell to try faults on: `cellward sim` here, `cellward run` there.

Both are started as a user starts them. The person at the line is played here, and
nobody else commands anything: the line of a stand starts nothing by itself.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cell.contracts.errors import CellError, FaultCode
from cell.contracts.observation import RgbdFrame
from cell.mailbox.frames import FrameSource, frame_ring_path
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.text import TextMailbox
from ops.processes.bond import HANG_S
from ops.telemetry import STATUS_CAPACITY
from sim2real.faults.chaos_proxy import ChaosProxy
from sim2real.faults.chaos_rule import Flow
from sim2real.faults.door import DOOR, open_door
from sim2real.faults.framing import (
    FeedFramer,
    Framer,
    LineFramer,
    MbapFramer,
    RawFramer,
    RtdeFramer,
)
from sim2real.faults.process_ids import is_alive, read_pid
from sim2real.faults.robot_wire import RtdeTap
from sim2real.faults.stand_config import (
    CAMERAS,
    RESTARTS,
    StandFiles,
    Wire,
    lend_hosts,
    write_stand_files,
)
from sim2real.virtual_cell.links import JOINT_TARGET
from sim2real.virtual_cell.plc.panel import COMMANDS, Panel

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_POLL_S: Final = 0.02
_READY_S: Final = 120.0
_BACK_S: Final = 90.0
_MOVING_S: Final = 90.0
_MOVING_RADPS: Final = 0.5
_LOOK_S: Final = 0.5
_END_S: Final = 20.0
_FRESH_NS: Final = 1_000_000_000
_NEXT_COMMAND: Final = {
    "ABORTED": "clear",
    "STOPPED": "reset",
    "IDLE": "start",
    "HELD": "unhold",
}
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (mailboxes belong on a tmpfs)
_ROBOT_PORTS: Final = (30003, 29999)
_CELL_PROCESSES: Final = ("plc", "ur", "vcamera", "world")
pause = time.sleep  # noqa: TID251  (real processes are waited for in real time)


class StandError(CellError):
    """The stand does not do what it has to do before any fault."""

    code = FaultCode.UNSPECIFIED


@dataclass
class Stand:
    """A started cell and its wires.

    Attributes:
        files: addresses, folders and settings.
        wires: proxies by wire.
        tap: on the wire to the robot, None without one.
        environment: variables that the controller is started with.
    """

    files: StandFiles
    wires: dict[Wire, ChaosProxy]
    tap: RtdeTap | None
    environment: Mapping[str, str] = field(default_factory=dict)
    _hosts: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._status: TextMailbox | None = None

    # --- processes -------------------------------------------------------------------

    def start_host(self, role: str) -> None:
        """Start `sim` or `run`."""
        config = self.files.cell if role == "sim" else self.files.controller
        self._hosts[role] = start_cellward(
            [role, "--config", str(config), *(["--no-tty"] if role == "run" else [])],
            self.files.controller.parent / f"{role}.out",
            self.environment if role == "run" else {},
        )

    def kill_host(self, role: str) -> None:
        """Kill a host and wait until the kernel has ended its children."""
        host = self._hosts[role]
        runtime = self.files.runtime if role == "run" else self.files.cell_runtime
        names = ("supervisor", "servo", "policy", "guardian", "camera")
        pids = [self.pid_of(n) for n in (names if role == "run" else _CELL_PROCESSES)]
        host.kill()
        host.wait()
        deadline_s = time.monotonic() + HANG_S
        while any(is_alive(pid, runtime) for pid in pids):
            if time.monotonic() > deadline_s:
                raise StandError(f"processes of {role} outlive their host")
            pause(_POLL_S)

    def end_hosts(self) -> None:
        """End controller, then virtual cell, in order."""
        for role in ("run", "sim"):
            host = self._hosts.pop(role, None)
            if host is None or host.poll() is not None:
                continue
            host.send_signal(signal.SIGINT)
            try:
                host.wait(_END_S)
            except subprocess.TimeoutExpired:
                host.kill()
                host.wait()

    @property
    def door(self) -> Path:
        """Folder of the door into the supervisor."""
        return Path(self.environment[DOOR])

    def pid_of(self, name: str) -> int:
        """Return the process id of one of the cell's processes, 0 when unknown."""
        is_virtual = name in _CELL_PROCESSES
        folder = self.files.cell_runtime if is_virtual else self.files.runtime
        return read_pid(folder, name)

    # --- looking ---------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return the supervisor's newest status, empty before the first."""
        path = self.files.runtime / "status"
        if self._status is None:
            if not path.exists():
                return {}
            self._status = TextMailbox(path, STATUS_CAPACITY)
        try:
            return dict(json.loads(self._status.read() or "{}"))
        except ValueError:
            return {}

    def newest_picture_ns(self) -> int:
        """Return when the newest picture of the bin arrived, monotonic clock."""
        source = FrameSource(frame_ring_path(self.files.runtime, Wire.CAMERA.value))
        try:
            return source.newest_stamp_ns()
        finally:
            source.close()

    def read_picture(self) -> RgbdFrame | None:
        """Return the newest picture of the bin."""
        source = FrameSource(frame_ring_path(self.files.runtime, Wire.CAMERA.value))
        try:
            return source.read_newest()
        finally:
            source.close()

    def forget_status(self) -> None:
        """Attach anew; a host that starts again makes a new mailbox."""
        if self._status is not None:
            self._status.close()
        self._status = None

    def count_violations(self) -> int:
        """Return what the world's own monitor counted so far."""
        box = TextMailbox(self.files.cell_runtime / "vc_report", STATUS_CAPACITY)
        try:
            return int(json.loads(box.read() or "{}").get("limit_violations", 0))
        finally:
            box.close()

    def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], timeout_s: float, what: str
    ) -> dict[str, Any]:
        """Poll the status until a condition holds.

        Raises:
            StandError: it does not in time, or a host has ended.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            status = self.status()
            if status and condition(status):
                return status
            for role, host in self._hosts.items():
                if host.poll() is not None:
                    raise StandError(f"{role} has ended: {self._read_output(role)}")
            pause(_POLL_S)
        status = self.status()
        seen = f"{status.get('state')}: {status.get('state_reason')}"
        raise StandError(f"{what}: not seen in {timeout_s:.0f} s; the cell is {seen}")

    def _read_output(self, role: str) -> str:
        path = self.files.controller.parent / f"{role}.out"
        return path.read_text("utf-8", errors="replace").strip()[-500:]

    # --- the person at the line ------------------------------------------------------

    def press(self, name: str) -> None:
        """Press a button of the panel: a PackML command, or `ack`."""
        panel = Panel(self.files.cell_runtime)
        panel.press(COMMANDS.get(name, 0), fault_ack=name == "ack")

    def bring_back(self) -> None:
        """Do what a person does until the cell executes.

        Raises:
            StandError: it does not come back.
        """
        deadline_s = time.monotonic() + _BACK_S
        while time.monotonic() < deadline_s:
            status = self.status()
            state = status.get("state", "")
            is_fresh = time.monotonic_ns() - status.get("stamp_ns", 0) < _FRESH_NS
            if state in ("EXECUTE", "SUSPENDED") and is_fresh:
                return
            if state in ("ABORTED", "HELD"):
                self.press("ack")
                pause(0.3)
            if state in _NEXT_COMMAND:
                self.press(_NEXT_COMMAND[state])
            pause(0.4)
        status = self.status()
        raise StandError(
            f"the cell did not come back: {status.get('state')}, "
            f"{status.get('state_reason')}; {status.get('permissives')}"
        )

    def wait_until_moving(self) -> None:
        """Wait until the arm is under way; bring the cell back should it stop first.

        Raises:
            StandError: it does not move.
        """
        box = Mailbox.open(self.files.cell_runtime / "vc_joint_target", JOINT_TARGET)
        deadline_s = time.monotonic() + _MOVING_S
        look_s = 0.0
        try:
            while time.monotonic() < deadline_s:
                record = box.read()
                if record is not None and max(abs(record["qd"])) > _MOVING_RADPS:
                    return
                pause(0.002)
                is_due = time.monotonic() > look_s
                look_s = time.monotonic() + _LOOK_S if is_due else look_s
                if is_due and self.status().get("state") in _NEXT_COMMAND:
                    # A busy machine may starve the camera meanwhile.
                    self.bring_back()
        finally:
            box.close()
        raise StandError("the arm does not move")


@contextmanager
def open_stand(
    base: Path,
    wires: frozenset[Wire],
    make_environment: Callable[[Path], Mapping[str, str]] = lambda _folder: {},
    restart_limit: int | None = RESTARTS,
) -> Iterator[Stand]:
    """Start a cell whose `wires` can be disturbed; whatever happens, end all of it.

    Args:
        base: configuration to take everything else from.
        wires: connections that go through a proxy.
        make_environment: returns further variables for the controller, from a folder
            for its files.
        restart_limit: of the controller's processes; None for that of the base.

    Raises:
        CellError: it does not come up.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(None))
        memory = stack.enter_context(_folder(_MEMORY if _MEMORY.is_dir() else None))
        hosts = stack.enter_context(lend_hosts())
        files = write_stand_files(base, folder, memory, hosts, wires, restart_limit)
        tap = RtdeTap() if Wire.ROBOT in wires else None
        proxies = {
            wire: proxy
            for wire in wires
            for proxy in _open_proxies(stack, wire, files, tap)
        }
        environment = {**open_door(folder), **make_environment(folder)}
        stand = Stand(files, proxies, tap, environment)
        stack.callback(stand.forget_status)
        stack.callback(stand.end_hosts)
        stand.start_host("sim")
        stand.start_host("run")
        stand.wait_for(lambda s: s.get("state") == "STOPPED", _READY_S, "start")
        yield stand


def start_cellward(
    arguments: Sequence[str],
    output: Path,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a command of Cellward that ends in order when this process ends."""
    more = dict(environment or {})
    path = os.pathsep.join(p for p in (str(_ROOT), more.pop("PYTHONPATH", "")) if p)
    with output.open("ab") as file:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "ops.processes.launch"),
                *(str(os.getpid()), str(int(signal.SIGTERM)), "ops.cli"),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=_ROOT,
            env={**os.environ, **more, "PYTHONPATH": path},
            # Ctrl-C reaches us alone; we end it in our own order.
            process_group=0,
        )


def _open_proxies(
    stack: ExitStack, wire: Wire, files: StandFiles, tap: RtdeTap | None
) -> Iterator[ChaosProxy]:
    """Open what stands in a wire; the one that can be disturbed comes last."""
    settings = files.settings

    def open_proxy(port: int, make_framer: Callable[[], Framer]) -> ChaosProxy:
        ends = (files.wire_host, port), (files.cell_host, port)
        return stack.enter_context(ChaosProxy(*ends, make_framer))

    if wire is Wire.LINE:
        yield open_proxy(getattr(settings.plc, "port", 0), MbapFramer)
    elif wire is Wire.GRIPPER:
        yield open_proxy(getattr(settings.gripper, "port", 0), LineFramer)
    elif wire in CAMERAS:
        camera = settings.cameras[wire.value]
        yield open_proxy(getattr(camera, "port", 0), FeedFramer)
    else:
        for port in _ROBOT_PORTS:
            open_proxy(port, RawFramer)
        proxy = open_proxy(30004, RtdeFramer)
        if tap is not None:
            for flow in Flow:
                proxy.set_rule(flow, tap.rule(flow))
        yield proxy


@contextmanager
def _folder(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(
        prefix="cellward-stand-", dir=parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)
