"""The JSON report of a run, put together from what the processes published."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cell.contracts.errors import ConfigError, StorageError
from cell.supervisor.statistics import Statistics

REPORT_VERSION = 1

_FROM_STATUS = (
    "placed",
    "attempts",
    "picks_per_hour",
    "first_try_success_ratio",
    "success_interval",
    "manual_assists",
    "policy_ms_p50",
    "cycle_s_p50",
    "state",
    "state_reason",
    "permissives",
    "alarms",
    "stops_by_reason",
    "guard_interventions",
    "guard_intervention_lost_s_p50",
    "guard_intervention_lost_s_max",
    "slow_down_requests",
    "slow_down_confirmed_s_max",
    "active_model",
    "fallback_proposals",
    "guardian",
)
_FROM_SERVO = (
    "holds_by_reason",
    "ordered_holds_by_reason",
    "unguarded_cycles",
    "late_cycles_ratio",
    "guard_us_p50",
    "guard_us_p999",
    "servo_cycles",
    "servo_scheduler",
)
_FROM_WORLD = (
    "limit_violations",
    "violations_by_kind",
    "real_time_factor",
    "parts_lost",
    "unsolved_ticks",
)


def make_report(
    status: Mapping[str, Any],
    servo: Mapping[str, Any],
    world: Mapping[str, Any],
    host: Mapping[str, Any],
) -> dict[str, Any]:
    """Put the report together.

    Args:
        status: the supervisor's newest status.
        servo: the servo process's figures.
        world: what the virtual cell's own monitor saw; empty on a real cell, where
            nobody but the robot itself can count violations.
        host: run time and process restarts.

    Returns:
        A JSON-able tree. A figure that nobody supplied is null, never zero.
    """
    report: dict[str, Any] = {"report_version": REPORT_VERSION}
    for source, keys in (
        (status, _FROM_STATUS),
        (servo, _FROM_SERVO),
        (world, _FROM_WORLD),
    ):
        report.update({key: source.get(key) for key in keys})
    report.update(host)
    return report


def compute_run_status(
    status: Mapping[str, Any], before: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the status with the counts of this run alone.

    Args:
        status: the newest status; its counts go on over all runs.
        before: the status that this run began with.
    """
    if "placed" not in status or "placed" not in before:
        return dict(status)
    now, then = Statistics(), Statistics()
    now.restore(dict(status))
    then.restore(dict(before))
    run = Statistics(stops=now.stops - then.stops)
    for field in dataclasses.fields(Statistics):
        if field.type in (int, float):
            difference = getattr(now, field.name) - getattr(then, field.name)
            setattr(run, field.name, max(difference, type(difference)(0)))
    figures = run.compute_figures()
    # Medians are of this run anyway, for nothing else is in memory.
    medians = {key: status.get(key) for key in ("cycle_s_p50", "policy_ms_p50")}
    return {**status, **figures, **medians}


def check_report_path(path: Path) -> None:
    """Find out before the run whether its report can be written.

    Raises:
        ConfigError: the path cannot be that of a report.
        StorageError: nothing can be written there.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(
            f"report {path} cannot be written: "
            + ("it is a folder" if path.is_dir() else f"{path.parent} is no folder")
            + "; name a file with --report"
        )
    probe = path.with_name(path.name + ".part")
    try:
        try:
            probe.write_bytes(b"x" * 4096)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise _make_error(path, error) from error


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report in one step, so that a reader never sees half of it.

    Raises:
        StorageError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(dump_report(report), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise _make_error(path, error) from error


def dump_report(report: Mapping[str, Any]) -> str:
    """Return the report as the text that goes into its file."""
    return json.dumps(report, indent=2) + "\n"


def _make_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"report {path} cannot be written: {error.strerror}; choose another path with "
        "--report"
    )
