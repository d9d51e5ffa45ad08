"""All rows of the fault catalogue, in order; light enough for a listing."""

from collections.abc import Sequence
from typing import Final

from cell.contracts.errors import ConfigError
from sim2real.faults.line_rows import LINE_ROWS
from sim2real.faults.machine_rows import MACHINE_ROWS
from sim2real.faults.policy_rows import POLICY_ROWS
from sim2real.faults.robot_rows import ROBOT_ROWS
from sim2real.faults.rows import FaultRow

ROWS: Final = (*LINE_ROWS, *ROBOT_ROWS, *POLICY_ROWS, *MACHINE_ROWS)
"""F01 to F95."""


def find_rows(ids: Sequence[str]) -> tuple[FaultRow, ...]:
    """Return the rows of these ids, in the order of the catalogue.

    Raises:
        ConfigError: naming an id that no row has.
    """
    wanted = {name.strip().upper() for name in ids}
    unknown = sorted(wanted - {row.id for row in ROWS})
    if unknown:
        raise ConfigError(
            f"there is no fault {unknown[0]}: `cellward faults list` shows all of them"
        )
    return tuple(row for row in ROWS if row.id in wanted)
