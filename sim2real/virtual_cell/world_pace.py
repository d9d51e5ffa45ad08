"""When ticks are due: an absolute schedule with bounded catching up. Pure."""

from dataclasses import dataclass

from cell.contracts.units import ns_from_s, s_from_ns
from sim2real.scene.build import TIMESTEP_S

TICK_NS = ns_from_s(TIMESTEP_S)
CATCH_UP_TICKS = 25


@dataclass
class Pace:
    """Counts ticks against the clock.

    Attributes:
        start_ns: monotonic clock when the schedule began.
        ticks: ticks done.
        lost_ns: time given up because the machine was too slow.
    """

    start_ns: int
    ticks: int = 0
    lost_ns: int = 0

    @property
    def due_ns(self) -> int:
        """When the next tick is due."""
        return self.start_ns + self.lost_ns + self.ticks * TICK_NS

    def count_due(self, now_ns: int) -> int:
        """Return how many ticks to do now; what is further behind is given up."""
        behind = (now_ns - self.due_ns) // TICK_NS + 1
        if behind > CATCH_UP_TICKS:
            self.lost_ns += (behind - CATCH_UP_TICKS) * TICK_NS
            behind = CATCH_UP_TICKS
        return max(behind, 0)

    def compute_real_time_factor(self, now_ns: int) -> float:
        """Return simulated time over real time since start, 1 at best."""
        elapsed_s = s_from_ns(now_ns - self.start_ns)
        if elapsed_s <= 0:
            return 1.0
        return min(1.0, 1.0 - s_from_ns(self.lost_ns) / elapsed_s)
