"""What every process does first, and how it ends when it must not run."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cell.contracts.errors import ConfigError, DriverError, StorageError
from ops.exit_codes import ExitCode
from ops.processes.priority import request_turns
from ops.processes.shell import run_entry

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = (
    "ops.processes.supervisor",
    "ops.processes.servo",
    "ops.processes.camera",
    "ops.processes.policy",
    "sim2real.virtual_cell.plc",
    "sim2real.virtual_cell.ur",
    "sim2real.virtual_cell.vcamera",
    "sim2real.virtual_cell.world",
)


def write_config(folder: Path, state_directory: Path, host: str = "127.0.0.1") -> Path:
    tree = yaml.safe_load((ROOT / "config.yaml").read_text())
    tree["runtime"]["directory"] = str(folder / "runtime")
    tree["runtime"]["state_directory"] = str(state_directory)
    tree["arm"]["host"] = host
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    path.chmod(0o600)
    return path


def run_python(
    *arguments: str, file_blocks: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the interpreter, where asked with a limit on what a file may hold."""
    command = [sys.executable, *arguments]
    if file_blocks is not None:
        command = ["bash", "-c", f'ulimit -f {file_blocks}; exec "$@"', "-", *command]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )


@pytest.mark.parametrize("module", ENTRIES)
def test_a_configuration_that_changed_is_one_sentence_and_code_3(
    tmp_path: Path, module: str
) -> None:
    config = write_config(tmp_path, tmp_path / "state")

    ended = run_python(
        *("-m", module, "--config", str(config), "--digest", "0" * 64),
        *("--runtime", str(tmp_path)),
    )

    assert ended.returncode == ExitCode.CONFIG
    assert "was changed since the cell was started" in ended.stderr
    assert ended.stderr.startswith(f"{module.rsplit('.', 1)[1]}: ")
    assert ended.stderr.count("\n") == 1


def test_a_process_starts_although_its_log_folder_takes_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    config = write_config(tmp_path, tmp_path / "file" / "state")
    code = (
        "from ops.processes.shell import enter_process\n"
        "import structlog\n"
        f"enter_process('probe', ['--config', {str(config)!r},"
        f" '--runtime', {str(tmp_path / 'runtime')!r}])\n"
        "structlog.get_logger().info('said to nobody')\n"
        "print('runs')\n"
    )

    assert run_python("-c", code).stdout == "runs\n"


def test_a_spare_that_is_not_needed_has_touched_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "state")
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "ops.processes.supervisor"),
                *("--config", str(config), "--runtime", str(tmp_path / "runtime")),
                f"--turn={theirs.fileno()}",
            ],
            cwd=ROOT,
            capture_output=True,
            pass_fds=[theirs.fileno()],
            timeout=60.0,
            check=False,
        )

    assert (ended.returncode, ended.stderr) == (ExitCode.OK, b"")
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml"}


def test_a_process_that_hangs_is_ended_by_the_kernel_without_any_host(
    tmp_path: Path,
) -> None:
    config = write_config(tmp_path, tmp_path / "state")
    code = (
        "import signal\n"
        "from ops.processes import bond\n"
        "from ops.processes.shell import enter_process\n"
        "bond.HANG_S = 0.2\n"
        f"context = enter_process('probe', ['--config', {str(config)!r},"
        f" '--runtime', {str(tmp_path / 'runtime')!r}])\n"
        "context.beat()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "while True: pass\n"
    )

    assert run_python("-c", code).returncode == -signal.SIGALRM


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash for its limits")
def test_a_run_that_starts_with_a_full_disk_ends_with_one_sentence(
    tmp_path: Path, loopback_address: str
) -> None:
    config = write_config(tmp_path, tmp_path / "state", loopback_address)

    ended = run_python(
        *("-m", "ops.cli", "run", "--no-tty", "--config", str(config)),
        file_blocks=0,
    )

    assert ended.returncode == ExitCode.STORAGE
    assert "cannot be written" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_deliberate_errors_end_with_their_documented_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise StorageError("no room")

    def fail_in_a_group() -> None:
        inner = ExceptionGroup("tasks", [ConfigError("bad key")])
        raise ExceptionGroup("tasks", [inner])

    assert run_entry("one", fail) == ExitCode.STORAGE
    assert run_entry("two", fail_in_a_group) == ExitCode.CONFIG
    assert run_entry("three", lambda: None) == ExitCode.OK
    assert capsys.readouterr().err == "one: no room\ntwo: bad key\n"


def test_a_defect_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ExceptionGroup("tasks", [DriverError("arm", "gone"), KeyError("x")])

    with pytest.raises(ExceptionGroup):
        run_entry("one", fail)


class Kernel:
    """Grants what it is told to, and notes what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *granted: str) -> None:
        self.asked: list[str] = []
        self._granted = granted
        monkeypatch.setattr(os, "sched_setscheduler", lambda *_: self._ask("real time"))
        monkeypatch.setattr(os, "setpriority", lambda *_: self._ask("niceness"))

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what not in self._granted:
            raise PermissionError(1, "Operation not permitted")


def test_real_time_priority_does_not_depend_on_the_right_to_be_nice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch, "real time")

    assert request_turns(-10, is_urgent=True) == ""
    assert kernel.asked == ["real time"]


@pytest.mark.parametrize("granted", [(), ("niceness",)])
def test_a_refused_priority_is_said_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, granted: tuple[str, ...]
) -> None:
    kernel = Kernel(monkeypatch, *granted)

    assert "rtprio 60" in request_turns(-10, is_urgent=True)
    assert kernel.asked == ["real time", "niceness"]
    assert ("nice -5" in request_turns(-5, is_urgent=False)) is not bool(granted)
    assert request_turns(0, is_urgent=False) == ""
