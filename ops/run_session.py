"""One run from its first process to its last: what is seen of it, and how it ends."""

import dataclasses
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cell.contracts.errors import CellError, ConfigError, ModelError, StorageError
from ops.child_signals import ChildSignals
from ops.exit_codes import ExitCode, RestartLimitError
from ops.host import ProcessHost
from ops.last_status import LastStatus, StatusKeeper
from ops.run_report import (
    compute_run_status,
    dump_report,
    make_report,
    write_report,
)
from ops.screen import Screen
from ops.telemetry import Telemetry, TelemetryReader
from ops.view import (
    name_state,
    render_line,
    render_sim_line,
    render_view,
    say_why,
)

_POLL_S = 0.05
_DRAW_PERIOD_S = 0.25
_PLAIN_PERIOD_S = 10.0
_CHANGE_PERIOD_S = 2.0
_pause = time.sleep  # noqa: TID251  (the host has no event loop)
_REFUSALS: dict[ExitCode, type[CellError]] = {
    ExitCode.CONFIG: ConfigError,
    ExitCode.MODEL: ModelError,
    ExitCode.STORAGE: StorageError,
}


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for.

    Attributes:
        config_path: configuration file.
        duration_s: end after this long; 0 means never [s].
        picks: end after this many placed parts; 0 means never.
        report_path: where the JSON report goes, if wanted.
        is_live: whether to draw the live view.
    """

    config_path: Path
    duration_s: float
    picks: int
    report_path: Path | None
    is_live: bool


class Session:
    """One run from the first process to the last."""

    def __init__(
        self,
        host: ProcessHost,
        reader: TelemetryReader,
        request: RunRequest,
        logs: Path,
    ) -> None:
        self._host = host
        self._is_controller = any(spec.is_product for spec in host.specs)
        self._reader = reader
        self._request = request
        self._logs = logs
        self._stop_signals = 0
        self._started_s = time.monotonic()
        self._last_line_s = -_PLAIN_PERIOD_S
        self._last_said: tuple[str, list[str]] = ("", [])

    def run(
        self, keeper: StatusKeeper, last: LastStatus, notices: Sequence[str]
    ) -> ExitCode:
        """Run until a limit, a signal or a process that stays down.

        Args:
            keeper: writes the status to disk.
            last: what the run before left; its counts are not those of this run.
            notices: said first.
        """
        self._keeper, self._last, self._screen = keeper, last, Screen()
        signal.signal(signal.SIGINT, self._note_signal)
        signal.signal(signal.SIGTERM, self._note_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # A terminal that is closed; `nohup` keeps the cell running without one.
            signal.signal(signal.SIGHUP, self._note_signal)
        try:
            self._run(notices)
        finally:
            # With the children gone nothing is held up by whoever reads slowly.
            self._screen.close()
        self._raise_for_lost_process()
        return ExitCode.OK

    def _run(self, notices: Sequence[str]) -> None:
        for text in (*notices, f"logs: {self._logs}"):
            self._screen.say(text)
        try:
            with ChildSignals() as children:
                self._loop(children)
        finally:
            order = ": arm first, then the rest" if self._is_controller else ""
            self._screen.say(f"stopping{order}")
            self._host.stop(_pause)
        self._conclude(self._look(is_last=True))

    def _raise_for_lost_process(self) -> None:
        for child in self._host.statuses():
            if child.name not in self._down_names:
                continue
            where = f"{self._logs / child.name}.out and .jsonl"
            if child.refusal is None:
                raise RestartLimitError(
                    f"process {child.name} died too often and stays down; its last "
                    f"words are in {where}"
                )
            kind = _REFUSALS[child.refusal.code]
            sentence = child.refusal.sentence or f"it would not run, see {where}"
            raise kind(f"process {child.name}: {sentence}")

    def _loop(self, children: ChildSignals) -> None:
        self._down_names: set[str] = set()
        drawn_s = -_DRAW_PERIOD_S
        while not self._is_over():
            self._host.poll()
            down = [c for c in self._host.statuses() if c.is_down]
            self._down_names = {c.name for c in down}
            # The others leave a cell that stands and can still say why.
            if any(c.is_essential or c.refusal is not None for c in down):
                return
            telemetry = self._look()
            elapsed_s = time.monotonic() - self._started_s
            if not self._request.is_live:
                self._print_line(telemetry, elapsed_s)
            elif elapsed_s - drawn_s >= _DRAW_PERIOD_S:
                drawn_s = elapsed_s
                self._screen.draw(
                    render_view(telemetry, self._host.statuses(), elapsed_s)
                )
            if self._has_enough(telemetry):
                return
            children.wait(_POLL_S)

    def _look(self, *, is_last: bool = False) -> Telemetry:
        """Read and keep the newest status; return it with the counts of this run.

        What the host itself has to say is added.
        """
        telemetry = self._reader.read()
        self._keeper.note(telemetry.status, is_last=is_last)
        status = compute_run_status(telemetry.status, self._last.tree)
        own = [*self._host.list_complaints(), self._keeper.complaint]
        if any(own):
            status["alarms"] = [*status.get("alarms", ()), *filter(None, own)]
        return dataclasses.replace(telemetry, status=status)

    def _is_over(self) -> bool:
        if self._stop_signals:
            return True
        limit_s = self._request.duration_s
        return bool(limit_s) and time.monotonic() - self._started_s >= limit_s

    def _has_enough(self, telemetry: Telemetry) -> bool:
        wanted = self._request.picks
        if not wanted:
            return False
        return int(telemetry.status.get("placed", 0)) >= wanted

    def _print_line(self, telemetry: Telemetry, elapsed_s: float) -> None:
        said = (name_state(telemetry), say_why(telemetry.status))
        age_s = elapsed_s - self._last_line_s
        is_changed = said[0] != self._last_said[0] or (
            said[1] != self._last_said[1] and age_s >= _CHANGE_PERIOD_S
        )
        if not is_changed and age_s < _PLAIN_PERIOD_S:
            return
        self._last_line_s, self._last_said = elapsed_s, said
        self._screen.say(self._render(telemetry, elapsed_s))

    def _render(
        self, telemetry: Telemetry, elapsed_s: float, *, is_over: bool = False
    ) -> str:
        if self._is_controller:
            return render_line(telemetry, elapsed_s, is_over=is_over)
        return render_sim_line(telemetry, elapsed_s)

    def _conclude(self, telemetry: Telemetry) -> None:
        elapsed_s = time.monotonic() - self._started_s
        restarts = {c.name: c.restarts for c in self._host.statuses() if c.restarts}
        host: dict[str, Any] = {"run_s": elapsed_s, "process_restarts": restarts}
        report = make_report(telemetry.status, telemetry.servo, telemetry.world, host)
        self._screen.say(self._render(telemetry, elapsed_s, is_over=True))
        if self._request.report_path is not None:
            try:
                write_report(self._request.report_path, report)
            except StorageError:
                # A run is not repeated for the sake of its report.
                self._screen.say(dump_report(report).rstrip("\n"))
                raise
            self._screen.say(f"report: {self._request.report_path}")

    def _note_signal(self, _number: int, _frame: object) -> None:
        self._stop_signals += 1
        if self._stop_signals >= 3:
            # Someone insists: the kernel ends the children with us.
            os._exit(int(ExitCode.INTERRUPTED))
