"""Tries rows one after the other: code first, then cells, one at a time.

One cell serves all rows that need the same wires. A trial that could not be carried
out leaves a cell nobody knows the state of, so the next row gets a fresh one.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from cell.contracts.errors import CellError
from ops.settings import Settings, load_settings
from sim2real.faults.device_scenarios import DEVICE_SCENARIOS
from sim2real.faults.guard_checks import GUARD_CHECKS, Check
from sim2real.faults.identity_scenarios import IDENTITY_SCENARIOS
from sim2real.faults.judgement import check_code
from sim2real.faults.ladder_checks import LADDER_CHECKS
from sim2real.faults.line_scenarios import LINE_SCENARIOS
from sim2real.faults.load_checks import LOAD_CHECKS
from sim2real.faults.model_checks import MODEL_CHECKS
from sim2real.faults.outside_checks import OUTSIDE_CHECKS
from sim2real.faults.policy_scenarios import POLICY_SCENARIOS
from sim2real.faults.process_scenarios import PROCESS_SCENARIOS
from sim2real.faults.restart_scenario import RESTART_SCENARIOS
from sim2real.faults.results import (
    Outcome,
    RowResult,
    join_results,
    judge_row,
    name_variant,
)
from sim2real.faults.robot_scenarios import ROBOT_SCENARIOS
from sim2real.faults.rows import FaultRow, Way
from sim2real.faults.scenario import CellScenario, MissingAidError
from sim2real.faults.session_checks import SESSION_CHECKS
from sim2real.faults.stand import Stand, open_stand
from sim2real.faults.stand_config import Wire
from sim2real.faults.trial import try_on_cell
from sim2real.faults.zone_checks import ZONE_CHECKS

SCENARIOS: Final[dict[str, CellScenario]] = {
    **LINE_SCENARIOS,
    **ROBOT_SCENARIOS,
    **DEVICE_SCENARIOS,
    **IDENTITY_SCENARIOS,
    **POLICY_SCENARIOS,
    **PROCESS_SCENARIOS,
    **RESTART_SCENARIOS,
}
"""Of the rows that need a whole cell."""

CHECKS: Final[dict[str, Check]] = {
    **GUARD_CHECKS,
    **SESSION_CHECKS,
    **ZONE_CHECKS,
    **OUTSIDE_CHECKS,
    **LOAD_CHECKS,
    **MODEL_CHECKS,
    **LADDER_CHECKS,
}
"""Of the rows that need only the code."""

_QUIET_WIRES: Final = frozenset({Wire.LINE, Wire.GRIPPER})
"""They carry so little that one cell has them all in the hands of a proxy."""

Say = Callable[[str], None]


class FaultRun:
    """Tries rows and keeps what came of them, also when it is interrupted.

    Attributes:
        results: by row id, in the order in which they were reached.
    """

    def __init__(
        self, config: Path, note: Callable[[RowResult], None], say: Say
    ) -> None:
        """Prepare.

        Args:
            config: configuration that cell and code are built from.
            note: told of each result at once.
            say: told what is being waited for.
        """
        self.results: dict[str, RowResult] = {}
        self._config = config
        self._note = note
        self._say = say

    def run(self, rows: Sequence[FaultRow], *, with_fault: bool = True) -> None:
        """Try all rows.

        Args:
            rows: which.
            with_fault: False leaves every fault out, to show that checks can fail.

        Raises:
            CellError: the configuration cannot be used.
        """
        for row in rows:
            if row.way is Way.LISTED:
                self._keep(RowResult(row, Outcome.NOT_BUILT, reason=row.reason))
        if all(row.way is Way.LISTED for row in rows):
            return
        # Before a cell makes a copy of it, which no message should name.
        settings = load_settings(self._config)
        for row in rows:
            if row.way is Way.CODE:
                self._keep(_try_code(row, settings, with_fault=with_fault))
        with _no_collector():
            for wires, group in group_by_wires(rows):
                self._run_group(wires, group, with_fault=with_fault)
            for row in rows:
                if row.way is Way.CELL and SCENARIOS[row.id].fresh:
                    self._run_fresh(row, with_fault=with_fault)

    def _run_group(
        self, wires: frozenset[Wire], rows: Sequence[FaultRow], *, with_fault: bool
    ) -> None:
        left = list(rows)
        while left:
            with ExitStack() as stack:
                names = ", ".join(sorted(wire.value for wire in wires)) or "none"
                self._say(f"starting a cell (wires open to disturbance: {names})")
                stand = stack.enter_context(open_stand(self._config, wires))
                while left:
                    row = left.pop(0)
                    gc.collect()
                    self._say(f"{row.id} {row.name} ...")
                    result = _try_variants(row, stand, with_fault=with_fault)
                    self._keep(result)
                    if result.reason:
                        break

    def _run_fresh(self, row: FaultRow, *, with_fault: bool) -> None:
        """Try a row on a cell of its own, and each of its variants on another."""
        first = SCENARIOS[row.id]
        results = []
        for name, scenario in (("", first), *first.variants):
            self._say(f"{row.id} {name or row.name}: starting a cell of its own ...")
            try:
                with open_stand(
                    self._config,
                    scenario.wires,
                    scenario.environment,
                    scenario.restart_limit,
                ) as stand:
                    result = _try_cell(row, scenario, stand, with_fault=with_fault)
            except MissingAidError as error:
                result = RowResult(row, Outcome.NOT_BUILT, reason=str(error))
            except (CellError, OSError) as error:
                result = RowResult(row, Outcome.FAILED, reason=str(error))
            results.append(name_variant(result, name))
        self._keep(join_results(results))

    def _keep(self, result: RowResult) -> None:
        self.results[result.row.id] = result
        self._note(result)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the garbage collector from stopping the proxies in the middle of a trial.

    What the rows about code left behind takes it longer than the line waits.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def group_by_wires(
    rows: Sequence[FaultRow],
) -> list[tuple[frozenset[Wire], list[FaultRow]]]:
    """Return the rows that share cells, by the wires that their cell must have.

    Rows that need none, or only quiet ones, share one cell.
    """
    cell_rows = [
        row for row in rows if row.way is Way.CELL and not SCENARIOS[row.id].fresh
    ]
    shared: list[FaultRow] = []
    shared_wires: frozenset[Wire] = frozenset()
    groups: dict[frozenset[Wire], list[FaultRow]] = {}
    for row in cell_rows:
        wires = SCENARIOS[row.id].wires
        if wires <= _QUIET_WIRES:
            shared.append(row)
            shared_wires |= wires
        else:
            groups.setdefault(wires, []).append(row)
    first = [(shared_wires, shared)] if shared else []
    return [*first, *groups.items()]


def _try_code(row: FaultRow, settings: Settings, *, with_fault: bool) -> RowResult:
    try:
        judgement = CHECKS[row.id](settings, with_fault)
        return judge_row(row, check_code(row, judgement))
    except CellError as error:
        return RowResult(row, Outcome.FAILED, reason=str(error))


def _try_variants(row: FaultRow, stand: Stand, *, with_fault: bool) -> RowResult:
    """Try a row and its variants on one cell; one that cannot be tried is the last."""
    first = SCENARIOS[row.id]
    results = []
    for name, scenario in (("", first), *first.variants):
        result = _try_cell(row, scenario, stand, with_fault=with_fault)
        results.append(name_variant(result, name))
        if result.reason:
            break
    return join_results(results)


def _try_cell(
    row: FaultRow, scenario: CellScenario, stand: Stand, *, with_fault: bool
) -> RowResult:
    row = replace(
        row,
        bound_ms=scenario.bound_ms or row.bound_ms,
        causes=scenario.causes or row.causes,
    )
    try:
        judgement = try_on_cell(stand, row, scenario, with_fault=with_fault)
    except (CellError, OSError) as error:
        return RowResult(
            row, Outcome.FAILED, reason=f"could not be tried to its end: {error}"
        )
    return judge_row(row, judgement)
