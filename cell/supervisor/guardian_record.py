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
_MODELS_KEPT: Final = 16
_NO_RECORD: Final = "the record of the last run does not say that it was trusted"
_NOT_PROVEN: Final = "it is new and has to show its worth in shadow first"


class GuardianRecord:
    """Which learned models were withdrawn, by the digest of their files.

    A model keeps its entry when another one takes its place, so that changing there and
    back is no way back.
    """

    def __init__(self, text: str | None, subject: str, network: str) -> None:
        """Read what the life before left.

        Args:
            text: the newest status of it, None when this cell has never run.
            subject: digest of the learned model, empty when none is configured.
            network: digest of the Guardian's network, whose charts the sums are of.
        """
        self._subject, self._network = subject, network
        self._models: dict[str, dict[str, Any]] = {}
        self._sums_nat: tuple[float, ...] = ()
        self._is_intact = text is None
        if text is not None:
            self._read(text)

    def recall(self, *, trusts_new_model: bool) -> GuardianMemory:
        """Return what is known of the learned model.

        Without a record nothing is trusted. A cell that never ran, and one that never
        picked with this model, have nothing against it.
        """
        if not self._is_intact:
            return GuardianMemory(was_trusted=False, doubt=_NO_RECORD)
        entry = self._models.get(self._subject)
        if entry is None:
            doubt = "" if trusts_new_model else _NOT_PROVEN
            return GuardianMemory(was_trusted=trusts_new_model, doubt=doubt)
        return GuardianMemory(**entry, sums_nat=self._sums_nat)

    def keep(self, memory: GuardianMemory) -> None:
        """Take note of where the Guardian stands."""
        entry = asdict(memory)
        self._sums_nat = tuple(entry.pop("sums_nat"))
        self._models.pop(self._subject, None)
        while len(self._models) >= _MODELS_KEPT:
            self._models.pop(next(iter(self._models)))
        self._models[self._subject] = entry
        self._is_intact = True

    def describe(self) -> dict[str, Any]:
        """Return the entries for the status; none where there is no intact record."""
        if not self._is_intact:
            return {}
        sums = {"network": self._network, "sums_nat": list(self._sums_nat)}
        return {RECORD: {"models": dict(self._models)}, SUMS: sums}

    def _read(self, text: str) -> None:
        try:
            tree = json.loads(text)
            models = {
                str(digest): _read_entry(entry)
                for digest, entry in tree[RECORD]["models"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        self._models, self._is_intact = models, True
        sums = tree.get(SUMS)
        if isinstance(sums, dict) and sums.get("network") == self._network:
            self._sums_nat = _read_sums(sums.get("sums_nat"))


def _read_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    was_trusted, is_locked = entry["was_trusted"], entry["is_locked"]
    trials = entry["trials"]
    if not isinstance(was_trusted, bool) or not isinstance(is_locked, bool):
        raise TypeError("what should be true or false is not")
    if not isinstance(trials, int) or trials < 0:
        raise TypeError("trials is no count")
    return {
        "was_trusted": was_trusted,
        "doubt": str(entry["doubt"]),
        "trials": trials,
        "is_locked": is_locked,
    }


def _read_sums(values: object) -> tuple[float, ...]:
    if not isinstance(values, list):
        return ()
    numbers = [
        float(value)
        for value in values
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    return tuple(numbers) if len(numbers) == len(values) else ()
