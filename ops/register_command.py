"""`cellward registers`."""

import sys

from cell.drivers.plc.map_document import render_map
from ops.exit_codes import ExitCode


def print_registers(form: str) -> ExitCode:
    """Print the register map in the wanted form."""
    try:
        sys.stdout.write(render_map(form))
    except ValueError as error:
        sys.stderr.write(f"cellward registers: {error}\n")
        return ExitCode.USAGE
    return ExitCode.OK
