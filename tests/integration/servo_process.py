"""A servo process under test, with a supervisor that can be silenced."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cell.contracts.geometry import Pose
from cell.contracts.servo import MotionMode, ServoCommand, ServoPhase, ServoState
from cell.mailbox.servo_link import ServoLink

REPOSITORY = Path(__file__).resolve().parents[2]


class ServoProcess:
    """The process, and what a supervisor does with its mailboxes."""

    def __init__(self, directory: Path, host: str, name: str = "servo") -> None:
        self.runtime = directory / "runtime"
        self.runtime.mkdir(exist_ok=True)
        self._state_home = directory / "state"
        self._config = directory / f"{name}.yaml"
        self._write_config(host)
        self.link = ServoLink.open(self.runtime)
        self.process = self._start()
        self.command = ServoCommand(
            stamp_ns=time.monotonic_ns(),
            command_id=1,
            arm_id=0,
            mode=MotionMode.HOLD,
            q_target=np.zeros(6),
            base_from_tcp=Pose.identity(),
        )

    def restart(self) -> None:
        self.process.wait(10.0)
        self.process = self._start()

    def order(self, mode: MotionMode, **fields: Any) -> int:
        self.command = replace(
            self.command,
            mode=mode,
            command_id=self.command.command_id + 1,
            **fields,
        )
        self.vouch()
        return self.command.command_id

    def vouch(self) -> ServoState | None:
        self.command = replace(self.command, stamp_ns=time.monotonic_ns())
        self.link.write_command(self.command)
        return self.link.read_state()

    def vouch_until(
        self, condition: Callable[[ServoState], bool], timeout_s: float = 20.0
    ) -> ServoState:
        """Stamp the order every few milliseconds until a state fits."""
        state = None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = self.vouch()
            if state is not None and condition(state):
                return state
            time.sleep(0.005)
        raise AssertionError(f"never came about, last {state}")

    def wait_until_connected(self) -> ServoState:
        return self.vouch_until(
            lambda s: (
                s.phase in (ServoPhase.FAULT, ServoPhase.READY)
                and 0.0 <= s.arm_age_s < 0.1
                and time.monotonic_ns() - s.stamp_ns < 100_000_000
            ),
            60.0,
        )

    def release(self) -> ServoState:
        """Release motion as a person would, until it took effect."""
        state = self.wait_until_connected()
        newest = max(state.arm_id, self.command.arm_id) + 1
        self.command = replace(self.command, arm_id=newest)
        self.order(MotionMode.HOLD)
        return self.vouch_until(
            lambda s: s.phase is ServoPhase.READY and s.arm_id == newest
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "ops.processes.servo"),
                *("--config", str(self._config)),
                *("--runtime", str(self.runtime)),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "XDG_STATE_HOME": str(self._state_home)},
        )

    def _write_config(self, host: str) -> None:
        config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
        config["arm"]["host"] = host
        self._config.write_text(yaml.safe_dump(config))
        self._config.chmod(0o600)


@contextmanager
def running_servo(
    directory: Path, host: str, name: str = "servo"
) -> Iterator[ServoProcess]:
    """Run a servo process until the end of the scope, then reap it."""
    servo = ServoProcess(directory, host, name)
    try:
        yield servo
    finally:
        if servo.process.poll() is None:
            servo.end()
