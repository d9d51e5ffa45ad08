"""Opens the configured arm."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from cell.config import ArmConfig, RtdeArmConfig
from cell.contracts.drivers import ArmDriver
from cell.drivers.arm.sim import open_sim_arm


def open_arm(
    config: ArmConfig,
    now_ns: Callable[[], int],
    warn: Callable[[str], None] = lambda _text: None,
) -> AbstractContextManager[ArmDriver]:
    """Connect to the configured arm; `ArmDriver.arm` comes next.

    After any error leave the context and open a new one; when to do so is the
    caller's policy.

    Args:
        config: section of the arm.
        now_ns: monotonic clock.
        warn: told what works less well than it could; it must neither block nor open
            anything.

    Raises:
        DriverError: no arm that we can drive answers there.
    """
    if isinstance(config, RtdeArmConfig):
        # In the branch, so that a desk without the vendor client still starts.
        from cell.drivers.arm.rtde import open_rtde_arm

        return open_rtde_arm(config, now_ns, warn)
    return open_sim_arm(config, now_ns)
