"""The report: of this run alone, and writable before the run begins."""

from pathlib import Path

import pytest

from cell.contracts.errors import ConfigError, StorageError
from cell.supervisor.statistics import Statistics
from ops.run_report import check_report_path, compute_run_status


def test_counts_of_earlier_runs_are_not_those_of_this_one() -> None:
    counts = Statistics(attempts=5, placed=4, first_tries=4, first_successes=3)
    counts.observed_s = 3600.0
    counts.stops.update(starved=2)
    before = counts.compute_figures()
    counts.attempts += 10
    counts.placed += 10
    counts.first_tries += 10
    counts.first_successes += 10
    counts.observed_s += 1800.0
    counts.stops.update(starved=1, blocked=1)
    status = {**counts.compute_figures(), "state": "STOPPED", "cycle_s_p50": 9.0}

    run = compute_run_status(status, before)

    assert (run["attempts"], run["placed"]) == (10, 10)
    assert run["first_try_success_ratio"] == 1.0
    assert run["picks_per_hour"] == pytest.approx(20.0)
    assert run["stops_by_reason"] == {"starved": 1, "blocked": 1}
    assert (run["state"], run["cycle_s_p50"]) == ("STOPPED", 9.0)


def test_without_an_earlier_run_the_counts_are_as_published() -> None:
    assert compute_run_status({"placed": 3}, {}) == {"placed": 3}
    assert compute_run_status({}, {"placed": 3}) == {}


def test_a_report_that_has_no_place_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a folder"):
        check_report_path(tmp_path)
    with pytest.raises(ConfigError, match="is no folder; name a file"):
        check_report_path(tmp_path / "nowhere" / "report.json")

    check_report_path(tmp_path / "report.json")
    assert not list(tmp_path.iterdir())


def test_a_report_on_a_full_disk_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)

    with pytest.raises(StorageError, match="No space left on device"):
        check_report_path(tmp_path / "report.json")
