"""Rungs of causes by the table, for checks in which no cell reacts. Pure."""

from cell.contracts.errors import Complaint
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.rungs import make_rule
from sim2real.faults.rows import Rung


def read_rung(cause: Cause) -> Rung:
    """Return the rung on which the ladder of a cell puts a cause in motion."""
    return Rung(f"R{int(make_rule(cause).moving)}")


def read_complaint_rung(complaint: Complaint | None) -> Rung | None:
    """Return the rung of what a process complains about, None where it does not.

    The fault word of a complaint about a model belongs to one cause alone.
    """
    if complaint is None:
        return None
    causes = [cause for cause in Cause if FACTS[cause].code is complaint.code]
    return read_rung(causes[0]) if len(causes) == 1 else None
