"""Says which modalities of what is seen may be used, and why not the others.

Remembers as much of the last pictures as it takes to see that a camera stands still
behind stamps that advance.
"""

from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cell.contracts.observation import Modality, RgbdFrame
from cell.contracts.units import s_from_ns
from policies.runtime.image_checks import (
    find_color_flaw,
    find_depth_flaw,
    find_shared_flaw,
)

FROZEN_AFTER: Final = 3
"""Equal pictures in a row, of different moments: sensor noise makes two impossible."""


class ValidityWatch:
    """Looks at every frame that a policy is asked about."""

    def __init__(self) -> None:
        self._stamp_ns: int | None = None
        self._digest = 0
        self._equal = 0

    def find_flaws(self, frame: RgbdFrame) -> dict[Modality, str]:
        """Return what of a frame may not be used, and why."""
        height_m = float(frame.base_from_camera.position_m[2])
        color_flaw = find_color_flaw(frame.rgb)
        flaws = {
            Modality.RGB: color_flaw,
            Modality.DEPTH: find_depth_flaw(frame.depth_m, height_m)
            or find_shared_flaw(frame.rgb, color_flaw),
        }
        if self._is_frozen(frame):
            flaws = dict.fromkeys(flaws, "it does not change any more")
        return {modality: flaw for modality, flaw in flaws.items() if flaw}

    def _is_frozen(self, frame: RgbdFrame) -> bool:
        if frame.stamp_ns == self._stamp_ns:
            # The same picture once more says nothing about the camera.
            return self._equal >= FROZEN_AFTER
        digest = crc32(np.ascontiguousarray(frame.depth_m).data.cast("B"))
        is_equal = self._stamp_ns is not None and digest == self._digest
        self._equal = self._equal + 1 if is_equal else 1
        self._stamp_ns, self._digest = frame.stamp_ns, digest
        return self._equal >= FROZEN_AFTER


def find_reading_flaw(
    values: NDArray[Any] | None, stamp_ns: int, now_ns: int, longest_age_s: float
) -> str:
    """Return what is wrong with a reading of an IMU, a tactile or a force sensor.

    No such sensor is fitted yet, so nothing asks this: where a driver brings a reading,
    `worker.make_observation` is to ask, as it does of pictures. Until then these
    modalities are missing from its mask, and a policy that needs them may not answer.

    Args:
        values: what it says, None where there is no sensor.
        stamp_ns: when it said so.
        now_ns: on the same clock.
        longest_age_s: beyond this it says nothing of the present [s].
    """
    if values is None or not values.size:
        return "there is no sensor"
    if not np.isfinite(values).all():
        return "it is not finite"
    age_s = s_from_ns(now_ns - stamp_ns)
    if not 0.0 <= age_s <= longest_age_s:
        return f"it is {age_s:.3f} s old"
    return ""
