"""How rows about processes are tried: signals, limits, a second host, a power cut."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from ops.exit_codes import ExitCode
from ops.last_status import FILE_NAME
from sim2real.faults.evidence import Evidence
from sim2real.faults.frozen_thread import freeze_main_thread
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    arm_rests,
    do_nothing,
    find_stop,
    make_event_sign,
    stop_begins,
    supervisor_returns,
)
from sim2real.faults.stand import Stand, start_cellward

_BLOCKED_S: Final = 0.7
_REFUSED_S: Final = 60.0
_ENDED: Final = ("host", "process ended")


def _send(name: str, number: signal.Signals) -> Act:
    return lambda stand: os.kill(stand.pid_of(name), number)


def _block_loop(stand: Stand) -> None:
    freeze_main_thread(stand.pid_of("supervisor"), _BLOCKED_S)


class _Starvation:
    """Takes memory away from the policy worker."""

    def __init__(self) -> None:
        self._pid = 0

    def begin(self, stand: Stand) -> None:
        """Let it have what it has now, and no more."""
        self._pid = stand.pid_of("policy")
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[0])
        size = pages * os.sysconf("SC_PAGE_SIZE")
        resource.prlimit(self._pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

    def end(self, _stand: Stand) -> None:
        """Lift the limit, should the process have lived on."""
        everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        with contextlib.suppress(OSError):
            resource.prlimit(self._pid, resource.RLIMIT_AS, everything)


def cut_power(stand: Stand) -> None:
    """End the controller at once, lose its memory, tear its record, and start it."""
    stand.kill_host("run")
    stand.forget_status()
    (stand.files.runtime / "status").unlink(missing_ok=True)
    record = stand.files.logs.parent / FILE_NAME
    content = record.read_bytes()
    record.write_bytes(content[: len(content) // 2])
    stand.start_host("run")


class _SecondController:
    """Another `cellward run` on the same runtime directory."""

    def __init__(self) -> None:
        self._code: int | None = None
        self._said = ""

    def start(self, stand: Stand) -> None:
        """Start it and wait for its end."""
        folder = stand.files.controller.parent
        config = folder / "second.yaml"
        shutil.copy(stand.files.controller, config)
        output = folder / "second.out"
        host = start_cellward(
            ["run", "--no-tty", "--for", "5s", "--config", str(config)], output
        )
        try:
            self._code = host.wait(_REFUSED_S)
        except subprocess.TimeoutExpired:
            host.send_signal(signal.SIGINT)
            self._code = host.wait(_REFUSED_S)
        self._said = output.read_text("utf-8", errors="replace")

    def is_refused(self, evidence: Evidence, _now_ns: int) -> int | None:
        """Return the onset once it has ended with the code of a refusal."""
        is_meant = self._code == ExitCode.ALREADY_RUNNING
        return evidence.onset_ns if is_meant else None

    def find_sentence(self, _evidence: Evidence) -> str:
        """Miss the sentence that names the first one."""
        if "another controller is running" in self._said:
            return ""
        return f"it did not say why it ended: {self._said[-200:]!r}"


_starvation, _second = _Starvation(), _SecondController()

PROCESS_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F47": CellScenario(
        inject=_send("policy", signal.SIGSTOP),
        repair=do_nothing,
        sign=stop_begins,
        lasts_s=0.6,
        is_latched=False,
    ),
    "F48": CellScenario(
        inject=_send("policy", signal.SIGSEGV),
        repair=do_nothing,
        sign=stop_begins,
        lasts_s=0.6,
        is_latched=False,
    ),
    "F61": CellScenario(
        inject=_send("supervisor", signal.SIGKILL),
        repair=do_nothing,
        sign=arm_rests,
        event=_ENDED,
    ),
    "F62": CellScenario(
        inject=_send("supervisor", signal.SIGSTOP),
        repair=do_nothing,
        sign=arm_rests,
        event=_ENDED,
    ),
    "F63": CellScenario(
        inject=_block_loop,
        repair=do_nothing,
        sign=arm_rests,
    ),
    "F66": CellScenario(
        inject=_starvation.begin,
        repair=_starvation.end,
        sign=stop_begins,
        onset=make_event_sign("host", "process ended", name="policy"),
        patience_s=30.0,
        lasts_s=0.0,
        is_latched=False,
        stops_arm=False,
    ),
    "F70": CellScenario(
        inject=cut_power,
        repair=do_nothing,
        sign=supervisor_returns,
        patience_s=60.0,
        event=("host", "last status unusable"),
        stops_arm=False,
    ),
    "F72": CellScenario(
        inject=_second.start,
        repair=do_nothing,
        sign=_second.is_refused,
        looks=(find_stop, _second.find_sentence),
        lasts_s=0.0,
        is_latched=False,
        stops_arm=False,
    ),
}
"""By row."""
