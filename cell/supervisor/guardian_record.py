"""What the status keeps of the Guardian for the next life, and how it is read. Pure.

The status is the record: the host keeps it on disk, written whole, with a checksum. So
an unreadable one, or one that lost this part, is told from a cell that is new.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from cell.contracts.guardian import GuardianMemory

RECORD: Final = "guardian_record"
SUMS: Final = "guardian_sums"
MODELS_KEPT: Final = 16
"""Besides the one that runs."""

_NO_RECORD: Final = "the record of the last run does not say that it was trusted"
_NOT_PROVEN: Final = "it is new and has to show its worth in shadow first"
_TOO_MANY: Final = "too many models were withdrawn here to know that it was not"


class GuardianRecord:
    """Which learned models were withdrawn, by the digest of their files.

    A model keeps its entry when another one takes its place, so that changing there and
    back is no way back. What gives way to newer ones are models that were trusted; once
    a withdrawn one had to, or a record was lost, a model without an entry may be it,
    and none is trusted for being new.
    """

    def __init__(self, text: str | None, network: str) -> None:
        """Read what the life before left.

        Args:
            text: the newest status of it, None when this cell has never run.
            network: digest of the Guardian's network, whose charts the sums are of;
                empty where there is none.
        """
        self._network = network
        self._models: dict[str, dict[str, Any]] = {}
        self._sums_nat: dict[str, list[float]] = {}
        self._is_kept = self._is_complete = text is None
        if text is not None:
            self._read(text)

    def recall(self, subject: str, *, trusts_new_model: bool) -> GuardianMemory:
        """Return what is known of a learned model.

        Without a record nothing is trusted. A cell that never ran, and one that never
        picked with this model, have nothing against it.

        Args:
            subject: digest of the model.
            trusts_new_model: whether one without an entry is trusted.
        """
        entry = self._models.get(subject)
        if entry is not None:
            sums_nat = tuple(self._sums_nat.get(subject, ()))
            return GuardianMemory(**entry, sums_nat=sums_nat)
        if not self._is_complete:
            return GuardianMemory(was_trusted=False, doubt=_NO_RECORD)
        if self._is_full_of_withdrawn():
            return GuardianMemory(was_trusted=False, doubt=_TOO_MANY)
        doubt = "" if trusts_new_model else _NOT_PROVEN
        return GuardianMemory(was_trusted=trusts_new_model, doubt=doubt)

    def keep(self, subject: str, memory: GuardianMemory) -> None:
        """Take note of where the Guardian of a learned model stands."""
        entry = asdict(memory)
        sums_nat = list(entry.pop("sums_nat"))
        self._models.pop(subject, None)
        while len(self._models) > MODELS_KEPT:
            self._give_up(min(self._models, key=self._worth))
        self._models[subject] = entry
        self._sums_nat[subject] = sums_nat
        self._is_kept = True

    def describe(self) -> dict[str, Any]:
        """Return the entries for the status; none where there is no record to keep."""
        if not self._is_kept:
            return {}
        record = {"models": dict(self._models), "is_complete": self._is_complete}
        sums = {"network": self._network, "sums_nat": dict(self._sums_nat)}
        return {RECORD: record, SUMS: sums}

    def _is_full_of_withdrawn(self) -> bool:
        withdrawn = [not entry["was_trusted"] for entry in self._models.values()]
        return len(withdrawn) >= MODELS_KEPT and all(withdrawn)

    def _worth(self, digest: str) -> int:
        """Return how much is lost with an entry; of equals the oldest gives way."""
        entry = self._models[digest]
        return 0 if entry["was_trusted"] else 2 if entry["is_locked"] else 1

    def _give_up(self, digest: str) -> None:
        entry = self._models.pop(digest)
        self._sums_nat.pop(digest, None)
        self._is_complete &= entry["was_trusted"]

    def _read(self, text: str) -> None:
        try:
            tree = json.loads(text)
            models = {
                str(digest): _read_entry(entry)
                for digest, entry in tree[RECORD]["models"].items()
            }
            is_complete = tree[RECORD]["is_complete"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        self._models, self._is_kept = models, True
        self._is_complete = is_complete is True
        sums = tree.get(SUMS)
        if not isinstance(sums, dict):
            return
        # Without a Guardian nothing is added to them, and they are handed on.
        self._network = self._network or str(sums.get("network"))
        if sums.get("network") == self._network:
            self._sums_nat = _read_sums(sums.get("sums_nat"))


def _read_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    flags = {name: entry[name] for name in ("was_trusted", "is_locked")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise TypeError("what should be true or false is not")
    counts = {name: entry[name] for name in ("trials", "falls")}
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise TypeError("what should be a count is none")
    return {"doubt": str(entry["doubt"]), **flags, **counts}


def _read_sums(tree: object) -> dict[str, list[float]]:
    if not isinstance(tree, dict):
        return {}
    rows = {str(digest): _read_row(row) for digest, row in tree.items()}
    return {digest: row for digest, row in rows.items() if row}


def _read_row(values: object) -> list[float]:
    if not isinstance(values, list):
        return []
    numbers = [
        float(value)
        for value in values
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    return numbers if len(numbers) == len(values) else []
