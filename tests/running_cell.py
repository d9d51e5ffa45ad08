"""A whole controller with its virtual cell, started as a user starts it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from cell.mailbox.text import TextMailbox
from ops.telemetry import STATUS_CAPACITY
from sim2real.faults.process_ids import is_alive, read_pid
from tests.loans import lend_port

ROOT = Path(__file__).resolve().parent.parent


def write_config(
    folder: Path, host: str, change: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """Write the shipped configuration with its own folders, address and ports."""
    tree = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    tree["runtime"]["directory"] = str(folder / "runtime")
    tree["runtime"]["state_directory"] = str(folder / "state")
    tree["arm"]["host"] = host
    tree["gripper"]["host"] = host
    tree["plc"]["port"] = lend_port()
    for camera in tree["cameras"].values():
        camera["port"] = lend_port()
    tree["policy"]["directory"] = str(ROOT / "policies" / "models")
    if change is not None:
        change(tree)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    path.chmod(0o600)
    return path


@dataclass
class RunningCell:
    """A started cell.

    Attributes:
        folder: holds its configuration, shared memory, state and report.
        process: the host.
    """

    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def runtime(self) -> Path:
        """Folder with its mailboxes."""
        return self.folder / "runtime"

    @property
    def report_path(self) -> Path:
        """Where its report is written at the end."""
        return self.folder / "report.json"

    def status(self) -> dict[str, Any]:
        """Return the supervisor's newest status, empty before the first."""
        if not (self.runtime / "status").exists():
            return {}
        mailbox = TextMailbox(self.runtime / "status", STATUS_CAPACITY)
        try:
            return dict(json.loads(mailbox.read() or "{}"))
        finally:
            mailbox.close()

    def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], timeout_s: float
    ) -> dict[str, Any]:
        """Poll the status until a condition holds; fail with what was seen last."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            status = self.status()
            if status and condition(status):
                return status
            if self.process.poll() is not None:
                raise AssertionError(f"the cell ended: {self.output()}")
            time.sleep(0.02)
        raise AssertionError(f"not seen in {timeout_s} s; last status: {self.status()}")

    def pid_of(self, name: str, timeout_s: float = 30.0) -> int:
        """Return the id of the process that works under a name; wait for one to."""
        deadline_s = time.monotonic() + timeout_s
        while not is_alive(pid := read_pid(self.runtime, name), self.runtime):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"no {name} works: {self.output()}")
            time.sleep(0.01)
        return pid

    def find_idle_pids(self, name: str, module: str) -> set[int]:
        """Return who has not worked under a name yet: what starts, and a spare."""
        working = read_pid(self.runtime, name)
        found = set()
        for child in _children_of(psutil.Process(self.process.pid)):
            with contextlib.suppress(psutil.Error):
                if module in child.cmdline() and child.pid != working:
                    found.add(int(child.pid))
        return found

    def output(self) -> str:
        """Return what the host printed so far."""
        return (self.folder / "output.txt").read_text(encoding="utf-8")

    def log(self, process: str) -> list[dict[str, Any]]:
        """Return the records that a process has logged so far."""
        path = self.folder / "state" / "log" / f"{process}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines()
        return [dict(json.loads(line)) for line in lines if line.endswith("}")]

    def stop(self, timeout_s: float = 30.0) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def report(self) -> dict[str, Any]:
        """Return the report of an ended run."""
        return dict(json.loads(self.report_path.read_text(encoding="utf-8")))


@contextmanager
def start_cell(
    folder: Path,
    host: str,
    *arguments: str,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[RunningCell]:
    """Start a cell in its own folder; whatever happens, nothing of it is left over."""
    config = write_config(folder, host, change)
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ops.cli", "run", "--no-tty"),
                *("--config", str(config), "--report", str(folder / "report.json")),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
        )
        cell = RunningCell(folder, process)
        family = psutil.Process(process.pid)
        try:
            yield cell
        finally:
            descendants = {*_children_of(family), *find_processes(cell.runtime)}
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(20.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            _, alive = psutil.wait_procs(list(descendants), timeout=5.0)
            # What came up meanwhile, or was orphaned before it was listed.
            alive += [p for p in find_processes(cell.runtime) if p not in alive]
            for orphan in alive:
                orphan.kill()
            assert not alive, f"left over: {alive}"


def find_processes(runtime: Path) -> list[psutil.Process]:
    """Return what runs for a runtime directory, whoever its parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if "--runtime" in command and str(runtime) in command:
            found.append(process)
    return found


def _children_of(family: psutil.Process) -> list[psutil.Process]:
    try:
        return list(family.children(recursive=True))
    except psutil.Error:
        return []
