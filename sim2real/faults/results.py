"""What came of the rows, for scripts and for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sim2real.faults.judgement import LATE, Judgement
from sim2real.faults.rows import FaultRow

FORMAT_VERSION: Final = 1
_STYLES: Final = {"passed": "green", "failed": "bold red", "not built": "dim"}


class Outcome(StrEnum):
    """How a row ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_BUILT = "not built"


_BADNESS: Final = {Outcome.PASSED: 0, Outcome.NOT_BUILT: 1, Outcome.FAILED: 2}


@dataclass(frozen=True)
class RowResult:
    """One row and what came of it.

    Attributes:
        row: the row.
        outcome: see `Outcome`.
        judgement: what was seen; None for a row that was not tried to its end.
        reason: why it was not tried, or why the trial ended early.
    """

    row: FaultRow
    outcome: Outcome
    judgement: Judgement | None = None
    reason: str = ""

    @property
    def is_late_only(self) -> bool:
        """Whether only a time was missed."""
        return self.judgement is not None and self.judgement.is_late_only

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should read beside the outcome."""
        missed = self.judgement.missed if self.judgement else ()
        return (*missed, *((self.reason,) if self.reason else ()))


def judge_row(row: FaultRow, judgement: Judgement) -> RowResult:
    """Turn what was seen into a result."""
    outcome = Outcome.FAILED if judgement.missed else Outcome.PASSED
    return RowResult(row, outcome, judgement)


def name_variant(result: RowResult, name: str) -> RowResult:
    """Return a result whose sentences say which variant of the fault they are about."""
    judgement = result.judgement
    if not name:
        return result
    if judgement is not None:
        # A late reaction stays one, whatever it is a reaction to.
        missed = tuple(_prefix(name, text) for text in judgement.missed)
        judgement = replace(judgement, missed=missed)
    reason = f"{name}: {result.reason}" if result.reason else ""
    return replace(result, judgement=judgement, reason=reason)


def _prefix(name: str, text: str) -> str:
    late = text.removeprefix(LATE)
    return f"{name}: {text}" if late == text else f"{LATE}{name}: {late}"


def join_results(results: Sequence[RowResult]) -> RowResult:
    """Return one result for all variants of a row: the worst, with all that is missed.

    Args:
        results: of one row, the plain fault first.
    """
    worst = max(results, key=lambda result: _BADNESS[result.outcome])
    judged = [r.judgement for r in results if r.judgement is not None]
    reason = "; ".join(result.reason for result in results if result.reason)
    if not judged:
        return replace(worst, reason=reason)
    times_ms = [j.reaction_ms for j in judged if j.reaction_ms is not None]
    judgement = replace(
        judged[0],
        reaction_ms=max(times_ms, default=None),
        missed=tuple(text for j in judged for text in j.missed),
    )
    return RowResult(results[0].row, worst.outcome, judgement, reason)


def describe_result(result: RowResult) -> str:
    """Return one line of progress."""
    line = f"{result.row.id} {result.outcome:9} {result.row.name}"
    seen = _describe_time(result)
    if seen:
        line += f": {seen}"
    if result.sentences:
        line += f" - {'; '.join(result.sentences)}"
    return line


def make_tree(results: Sequence[RowResult]) -> dict[str, Any]:
    """Return the results as JSON holds them."""
    return {
        "faults_version": FORMAT_VERSION,
        "rows": [_make_row(result) for result in results],
        "summary": {
            **{str(o): sum(r.outcome is o for r in results) for o in Outcome},
            "late only": sum(r.is_late_only for r in results),
        },
    }


def dump_results(results: Sequence[RowResult]) -> str:
    """Return the results as JSON text."""
    return json.dumps(make_tree(results), indent=2) + "\n"


def dump_rows(rows: Sequence[FaultRow]) -> str:
    """Return the catalogue as JSON text."""
    tree = {"faults_version": FORMAT_VERSION, "rows": [_make_facts(r) for r in rows]}
    return json.dumps(tree, indent=2) + "\n"


def print_rows(rows: Sequence[FaultRow], console: Console) -> None:
    """Print the catalogue, a few lines a row, and how many of them are tried."""
    for row in rows:
        style = "dim" if row.reason else ""
        title = Text(f"{row.id}  {row.name}", style or "bold")
        console.print(title, soft_wrap=not console.is_terminal)
        facts = "\n".join(_list_facts(row))
        console.print(Padding(Text(facts, style), (0, 0, 1, 5)))
    tried = sum(not row.reason for row in rows)
    console.print(
        f"{len(rows)} faults: {tried} tried, {len(rows) - tried} not built. R0 to R5:"
        " rungs of the reaction ladder. In brackets: PackML states. See"
        " ops/handbook/faults.md.",
        highlight=False,
    )


def _list_facts(row: FaultRow) -> list[str]:
    facts = [f"{row.rung}, {_describe_expected(row)}", f"at: {row.boundary}"]
    if row.bound:
        facts.append(f"within: {row.bound}")
    facts.append(f"not built: {row.reason}" if row.reason else f"tried: {row.way}")
    return facts


def print_results(results: Sequence[RowResult], console: Console) -> None:
    """Print the results as a table, and their numbers below it."""
    table = Table()
    for name in ("id", "fault", "result", "reaction", "time", "bound"):
        table.add_column(name, overflow="fold")
    for result in results:
        seen = result.judgement.reaction if result.judgement else ""
        text = "\n".join((*((seen,) if seen else ()), *result.sentences))
        table.add_row(
            result.row.id,
            result.row.name,
            str(result.outcome),
            text,
            _describe_time(result) or "-",
            result.row.bound or "-",
            style=_STYLES[result.outcome],
        )
    console.print(table)
    summary = make_tree(results)["summary"]
    console.print(
        f"{summary['passed']} passed, {summary['failed']} failed"
        f" ({summary['late only']} of them only late), {summary['not built']} not built"
    )


def _make_row(result: RowResult) -> dict[str, Any]:
    judgement = result.judgement
    return {
        **_make_facts(result.row),
        "result": str(result.outcome),
        "reason": result.reason or result.row.reason,
        "reaction": judgement.reaction if judgement else None,
        "reaction_ms": _round(judgement.reaction_ms) if judgement else None,
        "rest_ms": _round(judgement.rest_ms) if judgement else None,
        "rung_seen": judgement.rung if judgement else None,
        "rung_by_table": judgement.table_rung if judgement else None,
        "events_seen": list(judgement.events) if judgement else [],
        "missed": list(judgement.missed) if judgement else [],
        "late_only": result.is_late_only,
    }


def _make_facts(row: FaultRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "boundary": str(row.boundary),
        "rung": str(row.rung),
        "rung_unchecked": row.unranked,
        "expected": row.reaction,
        "states": list(row.states),
        "causes": list(row.causes),
        "bound_ms": row.bound_ms,
        "bound": row.bound,
        "way": str(row.way),
        "reason": row.reason,
    }


def _describe_expected(row: FaultRow) -> str:
    where = "/".join(row.states)
    return f"{row.reaction} ({where})" if where else row.reaction


def _describe_time(result: RowResult) -> str:
    judgement = result.judgement
    if judgement is None or judgement.reaction_ms is None:
        return ""
    text = f"{judgement.reaction_ms:.0f} ms"
    if judgement.rest_ms is not None:
        text += f", rest {judgement.rest_ms:.0f} ms"
    return text


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
