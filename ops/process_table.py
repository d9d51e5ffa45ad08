"""Which processes make up a controller, and when a dead one is started again."""

import signal
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProcessSpec:
    """One process of the controller or of the virtual cell.

    Attributes:
        name: as in logs, beats and reports.
        module: started with `python -m`.
        beat_limit_s: silence after which the host ends it [s]; generous enough for
            start-up, which is the longest silence.
        stop_grace_s: time between asking it to end and ending it [s].
        is_product: False for the virtual cell.
        is_essential: whether the run ends when it died too often. The supervisor tells
            line and people why the others are down, so the cell stays up for that.
        death_signal: what the kernel sends it when the host ends before it.
        has_spare: whether a successor waits beside it, imports and kernels loaded,
            because line and people wait for its return; its entry takes `--turn`.
    """

    name: str
    module: str
    beat_limit_s: float
    stop_grace_s: float = 3.0
    is_product: bool = True
    is_essential: bool = True
    death_signal: signal.Signals = signal.SIGKILL
    has_spare: bool = False


# The robot client's constructors may block for five seconds; nothing moves meanwhile,
# and the robot's own watchdog does not wait for the host.
PRODUCT = (
    ProcessSpec(
        "supervisor",
        "ops.processes.supervisor",
        2.0,
        4.0,
        death_signal=signal.SIGTERM,
        has_spare=True,
    ),
    ProcessSpec(
        "servo",
        "ops.processes.servo",
        6.0,
        3.0,
        is_essential=False,
        death_signal=signal.SIGTERM,
    ),
    ProcessSpec("policy", "ops.processes.policy", 5.0, 2.0, is_essential=False),
    ProcessSpec("guardian", "ops.processes.guardian", 5.0, 2.0, is_essential=False),
    ProcessSpec("camera", "ops.processes.camera", 3.0, 3.0, is_essential=False),
)
"""In the order in which they are asked to end."""

UNWATCHED = tuple(spec for spec in PRODUCT if spec.name != "guardian")
"""The same where no learned policy is configured that would have to be watched."""

VIRTUAL_CELL = (
    ProcessSpec("plc", "sim2real.virtual_cell.plc", 3.0, 2.0, is_product=False),
    ProcessSpec("ur", "sim2real.virtual_cell.ur", 3.0, 2.0, is_product=False),
    ProcessSpec(
        "vcamera", "sim2real.virtual_cell.vcamera", 10.0, 2.0, is_product=False
    ),
    ProcessSpec("world", "sim2real.virtual_cell.world", 10.0, 2.0, is_product=False),
)
"""The devices, simulated; ended after the product."""


@dataclass
class RestartPolicy:
    """Back-off between restarts and the limit after which a process stays down.

    The limit keeps a crash loop from running all night: 5 restarts within 10 minutes
    is the figure of the fault list for a restart loop.
    """

    limit: int = 5
    window_s: float = 600.0
    first_delay_s: float = 0.1
    last_delay_s: float = 5.0
    _deaths_s: list[float] = field(default_factory=list)

    def note_death(self, now_s: float) -> float | None:
        """Return the delay before the next start [s], or None to stay down."""
        self._deaths_s = [t for t in self._deaths_s if now_s - t < self.window_s]
        self._deaths_s.append(now_s)
        deaths = len(self._deaths_s)
        if deaths > self.limit:
            return None
        return min(self.first_delay_s * 2.0 ** (deaths - 1), self.last_delay_s)
