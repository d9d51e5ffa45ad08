"""The named list of mutants that no test can kill, each with its proof."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

LONGEST_LIST = 10
"""More would be a habit."""

_FILE = Path(__file__).with_name("equivalents.toml")


@dataclass(frozen=True)
class Equivalent:
    """One listed mutant.

    Attributes:
        key: see `Mutant.key`.
        reason: why it behaves as the code that was written, in every case.
    """

    key: str
    reason: str


def read_equivalents(path: Path = _FILE) -> tuple[Equivalent, ...]:
    """Read the list.

    Raises:
        ValueError: it is too long, has an entry without a reason or one entry twice.
    """
    entries = tuple(
        Equivalent(str(entry["key"]), str(entry["reason"]).strip())
        for entry in tomllib.loads(path.read_text()).get("mutant", [])
    )
    if len(entries) > LONGEST_LIST:
        raise ValueError(f"{len(entries)} mutants are listed; {LONGEST_LIST} may be")
    if not all(entry.reason for entry in entries):
        raise ValueError("an equivalent mutant needs a reason")
    if len({entry.key for entry in entries}) < len(entries):
        raise ValueError("a mutant is listed twice")
    return entries
