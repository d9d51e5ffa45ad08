"""Rows of the fault catalogue: those about code alone, and a few on a whole cell."""

from pathlib import Path

import pytest

from ops.settings import load_settings
from sim2real.faults.catalogue import find_rows
from sim2real.faults.judgement import check_code
from sim2real.faults.results import Outcome, RowResult
from sim2real.faults.runner import CHECKS, FaultRun

ON_A_CELL = ("F02", "F03", "F14", "F15", "F25", "F28", "F48")
"""Of each boundary that one cell can have disturbed: line, robot, gripper, policy."""
TIMED = {"F65"}
"""Rows with a time that a loaded machine may miss; everything else must hold."""


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_row_about_code_passes_with_its_fault(repository: Path, name: str) -> None:
    settings = load_settings(repository / "config.yaml")

    (row,) = find_rows([name])

    judgement = check_code(row, CHECKS[name](settings, True))

    assert not judgement.missed or (name in TIMED and judgement.is_late_only)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_row_about_code_does_not_pass_without_its_fault(
    repository: Path, name: str
) -> None:
    settings = load_settings(repository / "config.yaml")

    assert CHECKS[name](settings, False).missed


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_rows_on_a_whole_cell_pass_but_for_lateness(repository: Path) -> None:
    noted: list[RowResult] = []
    run = FaultRun(repository / "config.yaml", noted.append, lambda _text: None)

    run.run(find_rows(ON_A_CELL))

    wrong = [
        (result.row.id, result.sentences)
        for result in noted
        if result.outcome is Outcome.FAILED and not result.is_late_only
    ]
    assert not wrong
    assert len(noted) == len(ON_A_CELL)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_row_on_a_whole_cell_does_not_pass_without_its_fault(
    repository: Path,
) -> None:
    run = FaultRun(repository / "config.yaml", lambda _: None, lambda _text: None)

    run.run(find_rows(["F03"]), with_fault=False)

    assert run.results["F03"].outcome is Outcome.FAILED
