"""Notices a camera stream that stands still or whose clock cannot be right.

Arrival is stamped with our own monotonic clock; the device's clock is only compared
with it, for cameras are known to jump by decades after hours of work.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.units import s_from_ns

# Between two pairs the device's clock and ours may differ by a delayed delivery.
_MAX_CLOCK_STEP_S: Final = 2.0
# Sensor noise makes two equal depth images next to impossible: the third in a row is
# one too many. So is the third of one moment, for a device clock that advances.
_MAX_REPEATS: Final = 2
# Noise changes three pixels in four at the distances of the cell; a still picture with
# a clock painted into it changes fewer than this.
_NOISE_FLOOR_RATIO: Final = 0.02


class StreamFault(Enum):
    """What is wrong with a pair."""

    NONE = "none"
    REPEATED = "its frame number does not advance"
    STILL = "its image has not changed yet"
    FROZEN = "its image does not change any more"
    CLOCK = "its device clock jumped"
    STANDING = "its device clock stands still"


@dataclass(frozen=True)
class PairFacts:
    """What is known of a pair without looking at its content.

    Attributes:
        number: the device's frame number.
        device_time_s: the device's clock.
        digest: checksum of the raw depth image.
        stamp_ns: our monotonic clock at arrival.
        changed_ratio: share of its depth that differs from the pair before, 0..1.
    """

    number: int
    device_time_s: float
    digest: int
    stamp_ns: int
    changed_ratio: float = 1.0


class StreamCheck:
    """Compares each pair with the one before."""

    def __init__(self) -> None:
        self._last: PairFacts | None = None
        self._identical = 0
        self._standing = 0

    def check(self, pair: PairFacts) -> StreamFault:
        """Return what is wrong with `pair`; the first fault in the order of severity.

        A pair whose image is that of the one before is not fresh, whatever its stamp;
        nor is the first, for a frozen camera that is opened anew has a first as well.
        A device clock that is not finite or negative is refused from the first pair.
        """
        last = self._last
        if not math.isfinite(pair.device_time_s) or pair.device_time_s < 0:
            return StreamFault.CLOCK
        if last is None:
            self._last = pair
            return StreamFault.STILL
        if pair.number <= last.number:
            return StreamFault.REPEATED
        self._last = pair
        passed_s = s_from_ns(pair.stamp_ns - last.stamp_ns)
        claimed_s = pair.device_time_s - last.device_time_s
        if claimed_s < 0 or abs(claimed_s - passed_s) > _MAX_CLOCK_STEP_S:
            return StreamFault.CLOCK
        self._standing = self._standing + 1 if claimed_s == 0 else 0
        if self._standing >= _MAX_REPEATS:
            return StreamFault.STANDING
        # Written so that a ratio that is no number counts as still.
        has_noise = pair.changed_ratio >= _NOISE_FLOOR_RATIO
        is_still = pair.digest == last.digest or not has_noise
        self._identical = self._identical + 1 if is_still else 0
        if self._identical >= _MAX_REPEATS:
            return StreamFault.FROZEN
        return StreamFault.STILL if is_still else StreamFault.NONE


def compute_changed_ratio(before: NDArray[Any] | None, after: NDArray[Any]) -> float:
    """Return the share of measured pixels whose depth is another than before.

    Args:
        before: raw depth of the pair before, None for the first; 0 is not measured.
        after: raw depth of this pair.
    """
    if before is None or before.shape != after.shape:
        return 1.0
    is_measured = (before > 0) | (after > 0)
    count = int(np.count_nonzero(is_measured))
    if not count:
        return 0.0
    return int(np.count_nonzero((before != after) & is_measured)) / count
