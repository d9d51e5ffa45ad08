"""The JSON report of a run, put together from what the processes published."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.exit_codes import StorageError

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
    "active_model",
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


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report in one step, so that a reader never sees half of it.

    Raises:
        StorageError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StorageError(
            f"report {path} cannot be written: {error.strerror}; choose another path "
            "with --report"
        ) from error
