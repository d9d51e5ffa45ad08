"""Looks again, now and then, whether the files of the running model are still its own.

What runs is in memory and was verified; a file that has changed since would be refused
at the next start, in the middle of a shift. It is read in slices, one a turn, so that
nobody who asks for a grasp waits for it.
"""

import hashlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final

from cell.contracts.errors import ModelError, ModelMissingError

_SLICE_BYTES: Final = 1 << 20

_Look = Generator[None, None, ModelError | None]


class ModelWatch:
    """Hashes the files of a model once a period.

    Attributes:
        period_ns: from the end of one look to the begin of the next [ns].
    """

    def __init__(self, digests: Mapping[Path, str], period_ns: int) -> None:
        """Prepare; the first look begins one period after the first turn.

        Args:
            digests: sha256 of the model's files when they were loaded, by path.
            period_ns: from the end of one look to the begin of the next [ns].
        """
        self.period_ns = period_ns
        self._expected = dict(digests)
        self._due_ns: int | None = None
        self._look: _Look | None = None

    def turn(self, now_ns: int) -> ModelError | None:
        """Do one slice of a look that is due; return what is wrong once it shows.

        Args:
            now_ns: monotonic clock [ns].
        """
        if self._due_ns is None:
            self._due_ns = now_ns + self.period_ns
        if self._look is None:
            if now_ns < self._due_ns:
                return None
            self._look = self._hash_all()
        try:
            next(self._look)
        except StopIteration as end:
            self._look, self._due_ns = None, now_ns + self.period_ns
            found: ModelError | None = end.value
            return found
        return None

    def _hash_all(self) -> _Look:
        for path, expected in self._expected.items():
            digest = hashlib.sha256()
            try:
                with path.open("rb") as file:
                    while chunk := file.read(_SLICE_BYTES):
                        digest.update(chunk)
                        yield
            except OSError as error:
                return _explain(path, error)
            if digest.hexdigest() != expected:
                return ModelError(
                    f"{path}: is not the file any more that was loaded (sha256 "
                    f"{digest.hexdigest()[:12]}..., then {expected[:12]}...): restore "
                    "it and start Cellward again; if nobody exported or fitted it "
                    "anew, look for what damages the disk"
                )
        return None


def _explain(path: Path, error: OSError) -> ModelError:
    if isinstance(error, FileNotFoundError):
        return ModelMissingError(f"{path}: file is missing; restore it")
    return ModelError(
        f"{path}: cannot be read ({error.strerror}); check the file and its rights"
    )
