"""Notices a camera stream that stands still or whose clock cannot be right.

Arrival is stamped with our own monotonic clock; the device's clock is only compared
with it, for cameras are known to jump by decades after hours of work.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cell.contracts.units import s_from_ns

# Between two pairs the device's clock and ours may differ by a delayed delivery.
_MAX_CLOCK_STEP_S: Final = 2.0
# Sensor noise makes two equal depth images next to impossible.
_MAX_IDENTICAL: Final = 5


class StreamFault(Enum):
    """What is wrong with a pair."""

    NONE = "none"
    REPEATED = "its frame number does not advance"
    FROZEN = "its image does not change any more"
    CLOCK = "its device clock jumped"


@dataclass(frozen=True)
class PairFacts:
    """What is known of a pair without looking at its content.

    Attributes:
        number: the device's frame number.
        device_time_s: the device's clock.
        digest: checksum of the raw depth image.
        stamp_ns: our monotonic clock at arrival.
    """

    number: int
    device_time_s: float
    digest: int
    stamp_ns: int


class StreamCheck:
    """Compares each pair with the one before."""

    def __init__(self) -> None:
        self._last: PairFacts | None = None
        self._identical = 0

    def check(self, pair: PairFacts) -> StreamFault:
        """Return what is wrong with `pair`; the first fault in the order of severity.

        A device clock that is not finite or negative is refused from the first pair.
        """
        last = self._last
        if not math.isfinite(pair.device_time_s) or pair.device_time_s < 0:
            return StreamFault.CLOCK
        if last is None:
            self._last = pair
            return StreamFault.NONE
        if pair.number <= last.number:
            return StreamFault.REPEATED
        self._last = pair
        passed_s = s_from_ns(pair.stamp_ns - last.stamp_ns)
        claimed_s = pair.device_time_s - last.device_time_s
        if claimed_s < 0 or abs(claimed_s - passed_s) > _MAX_CLOCK_STEP_S:
            return StreamFault.CLOCK
        self._identical = self._identical + 1 if pair.digest == last.digest else 0
        return (
            StreamFault.FROZEN
            if self._identical >= _MAX_IDENTICAL
            else StreamFault.NONE
        )
