"""Whether what was lifted can be one part of this cell: its width and its mass.

Two parts at once, or a wrong one, are wider or heavier than any part that belongs here.
A force sensor is noisy and its zero wanders, so the band of the configuration holds for
what is measured: it lies outside the true masses by what the sensor may add.
"""

from collections import deque
from typing import Final

from cell.config import PartBandConfig
from cell.contracts.servo import ServoState
from cell.supervisor.ports import ServoPort

SAMPLES: Final = 5
"""One in each poll of a motion, 10 ms apart: together they span 40 ms.

The tool hangs freely before it reaches in and nearly so after a lift; a longer span
would take in more of the braking and gain nothing. The sensor's noise is that of each
sample of the servo process, so a mean over five is as good as one at 50 Hz, and how far
the zero wanders between the two weighings is no matter of the rate.
"""

_GRAVITY_MPS2: Final = 9.81


class PartScale:
    """Weighs by the tool force before reaching in and at the end of the lift.

    Its looks are asked all the way of a motion and never end one.
    """

    def __init__(self, servo: ServoPort) -> None:
        """Begin without any sample of the attempt."""
        self._servo = servo
        self._free_n: list[float] = []
        self._lifted_n: deque[float] = deque(maxlen=SAMPLES)
        self._cycle = -1

    def begin(self) -> None:
        """Forget the attempt before."""
        self._free_n.clear()
        self._lifted_n.clear()

    def look_free(self) -> bool:
        """Take a sample of the empty tool, until there are enough; return False."""
        state = self._read_new()
        if state is not None and len(self._free_n) < SAMPLES:
            self._free_n.append(float(state.force_tcp_n[2]))
        return False

    def look_lifted(self) -> bool:
        """Take a sample of the tool that lifts a part; return False."""
        state = self._read_new()
        if state is not None:
            self._lifted_n.append(float(state.force_tcp_n[2]))
        return False

    def compute_mass_kg(self) -> float | None:
        """Return what hangs at the tool more than before [kg], None without samples."""
        if not self._free_n or not self._lifted_n:
            return None
        free_n = sum(self._free_n) / len(self._free_n)
        lifted_n = sum(self._lifted_n) / len(self._lifted_n)
        return (free_n - lifted_n) / _GRAVITY_MPS2

    def _read_new(self) -> ServoState | None:
        state = self._servo.read_state()
        if state is None or state.cycle == self._cycle:
            return None
        self._cycle = state.cycle
        return state


def find_misfit(
    band: PartBandConfig | None, width_m: float, mass_kg: float | None
) -> str:
    """Return what about a lifted part is out of its band, empty when nothing is.

    Args:
        band: of the cell's parts; None checks nothing.
        width_m: opening at which the fingers came to rest [m].
        mass_kg: as measured; None, or no number, is out of every band.
    """
    if band is None:
        return ""
    if not band.width_min_m <= width_m <= band.width_max_m:
        return (
            f"width {width_m * 1e3:.1f} mm, parts have {band.width_min_m * 1e3:.1f} to "
            f"{band.width_max_m * 1e3:.1f} mm"
        )
    if mass_kg is None:
        return "mass unknown: the tool force was not measured"
    # A measured mass below nothing is the sensor's noise on a light part.
    if not band.mass_min_kg <= max(mass_kg, 0.0) <= band.mass_max_kg:
        return (
            f"mass {mass_kg:.2f} kg, parts have {band.mass_min_kg:.2f} to "
            f"{band.mass_max_kg:.2f} kg"
        )
    return ""
