"""The servo process: `python -m ops.processes.servo --config F --runtime DIR`."""

import os
import time
from collections.abc import Sequence

import numpy as np
import structlog

from cell.contracts.runtime import RequestGuard
from cell.contracts.units import ns_from_s
from cell.drivers.arm.opening import open_arm
from cell.mailbox import complaint
from cell.mailbox.servo_link import ServoLink
from cell.servo.follower import CommandFollower
from cell.servo.interpolator import Interpolator
from cell.servo.latch import Latch
from cell.servo.loop import SCHEDULING, ServoLoop
from cell.servo.motions import MotionLimits
from cell.servo.realtime import (
    Scheduling,
    freeze_garbage_collector,
    request_scheduling,
    sleep_until_ns,
)
from cell.servo.rehearsal import rehearse
from cell.servo.reporting import GuardMeter, Tally
from cell.servo.session import Desk, Record, Tool
from ops.logging import close_logging
from ops.processes.shell import ProcessContext, enter_process, run_entry
from ops.settings import Settings
from safety.action_cache import SafeActionCache
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.projection_limits import make_projection_limits
from safety.requests import ProjectedRequests

# The guard stops the arm at its own limit; the plan keeps some distance.
_TCP_SPEED_SHARE = 0.9


def main(argv: Sequence[str] | None = None) -> int:
    """Run the servo process until SIGTERM; return the exit code."""
    context = enter_process("servo", argv)
    log = structlog.get_logger("servo")
    # Compiling takes a while on a new machine, and must not keep others off a core.
    _rehearse(context.settings)
    context.beat()
    scheduling = request_scheduling(1.0 / context.settings.arm.frequency_hz)
    loop = _make_loop(context, scheduling, make_record(log))
    if scheduling.warning:
        log.warning(SCHEDULING, detail=scheduling.warning)
    log.info(SCHEDULING, level=scheduling.level, period_s=scheduling.period_s)
    freeze_garbage_collector()
    loop.run(lambda: context.stop.is_set)
    return 0


def make_record(log: structlog.typing.FilteringBoundLogger) -> Record:
    """Return what writes events down; no disk and no descriptor is touched for it."""

    def record(event: str, fields: dict[str, object]) -> None:
        write = log.warning if event == SCHEDULING else log.info
        write(event, **fields)

    return record


def _rehearse(settings: Settings) -> None:
    period_s = 1.0 / settings.arm.frequency_hz
    rehearse(
        _make_follower(settings, _make_guard(settings, period_s), period_s),
        np.array(settings.arm.home_q_rad),
    )


def _make_loop(
    context: ProcessContext, scheduling: Scheduling, record: Record
) -> ServoLoop:
    settings = context.settings
    period_s = scheduling.period_s
    link = ServoLink.open(context.runtime)
    box = complaint.ComplaintBox(context.runtime, complaint.SERVO)
    box.write(None)
    guard = GuardMeter(_make_guard(settings, period_s))
    desk = Desk(
        port=link,
        follower=_make_follower(settings, guard, period_s),
        tally=Tally(guard, scheduling.level, period_s),
        tool=Tool(settings.arm.flange_from_tcp.pose(), settings.arm.gripper_mass_kg),
        freshness_ns=ns_from_s(settings.safety.freshness_s),
        latch=Latch.closed(link.read_command()),
        record=record,
        complain=box.write,
    )
    return ServoLoop(
        lambda warn: open_arm(settings.arm, time.monotonic_ns, warn),
        desk,
        time.monotonic_ns,
        sleep_until_ns,
        context.beat,
    )


def _make_guard(settings: Settings, period_s: float) -> ProjectedRequests:
    tool = settings.arm.flange_from_tcp.pose()
    guard = EnvelopeGuard.from_config(settings.safety, tool, period_s)
    # What a policy asks for cycle by cycle keeps to the motion of this cell as well.
    limits = make_limits(settings.safety, tool, period_s)
    motion = settings.motion
    for key in ("joint_speed_radps", "joint_acceleration_radps2"):
        limits[key] = np.minimum(limits[key], getattr(motion, key))
    return ProjectedRequests(guard, make_projection_limits(limits))


def _make_cache(settings: Settings, period_s: float) -> SafeActionCache:
    tool = settings.arm.flange_from_tcp.pose()
    return SafeActionCache(make_limits(settings.safety, tool, period_s))


def _make_follower(
    settings: Settings, guard: RequestGuard, period_s: float
) -> CommandFollower:
    limits = MotionLimits(
        motion=settings.motion,
        tcp_speed_mps=_TCP_SPEED_SHARE * settings.safety.tcp_speed_mps,
        flange_from_tcp=settings.arm.flange_from_tcp.pose(),
        period_s=period_s,
    )
    return CommandFollower(
        guard,
        Interpolator(limits),
        _make_cache(settings, period_s),
        ns_from_s(settings.safety.freshness_s),
        period_s,
    )


if __name__ == "__main__":
    code = run_entry("servo", main)
    close_logging()
    # The robot client's destructors sleep for half a second each; its sockets close
    # with the process just as well.
    os._exit(code)
