"""Process of the simulated world: `python -m sim2real.virtual_cell.world`.

MuJoCo in real time, 500 ticks a second. Who reads and writes its mailboxes may come and
go: without a controller the brakes hold the arm, without a line the parts stay.
"""

import gc
import json
import sys
import time
from pathlib import Path
from typing import Final

import structlog

from cell.mailbox.seqlock import Mailbox
from cell.mailbox.text import TextMailbox
from ops.processes.priority import request_priority
from ops.processes.shell import ProcessContext, enter_process, run_entry
from ops.telemetry import STATUS_CAPACITY
from sim2real.virtual_cell.links import (
    JOINT_STATE,
    JOINT_TARGET,
    LINE_COMMAND,
    WORLD_STATE,
)
from sim2real.virtual_cell.part_flow import LineOrder
from sim2real.virtual_cell.world_cell import TickResult, WorldCell
from sim2real.virtual_cell.world_pace import Pace
from sim2real.virtual_cell.world_servo import JointTarget

_FIFO_PRIORITY: Final = 30
_NICENESS: Final = -10
_REPORT_TICKS: Final = 250
_pause = time.sleep  # noqa: TID251  (this process has no event loop)


class PhysicsDivergedError(Exception):
    """The simulator found no next state; only a new world has one."""


class WorldLinks:
    """The mailboxes of the world."""

    def __init__(self, runtime: Path) -> None:
        self._target = Mailbox.open(runtime / "vc_joint_target", JOINT_TARGET)
        self._order = Mailbox.open(runtime / "vc_line_command", LINE_COMMAND)
        self.joint_state = Mailbox.open(runtime / "vc_joint_state", JOINT_STATE)
        self.world_state = Mailbox.open(runtime / "vc_world_state", WORLD_STATE)
        self.report = TextMailbox(runtime / "vc_report", STATUS_CAPACITY)
        self._target_version = 0
        self._order_version = 0
        self._newest_target: JointTarget | None = None
        self._newest_order: LineOrder | None = None

    def read_target(self) -> JointTarget | None:
        """Return the robot controller's newest order, however old."""
        version = self._target.version()
        if version == self._target_version:
            return self._newest_target
        record = self._target.read()
        if record is not None:
            self._target_version = version
            self._newest_target = JointTarget(
                stamp_ns=int(record["stamp_ns"]),
                q=record["q"],
                qd=record["qd"],
                gripper_position=float(record["gripper_position"]),
                gripper_speed=float(record["gripper_speed"]),
                gripper_force=float(record["gripper_force"]),
                brakes_released=bool(record["brakes_released"]),
            )
        return self._newest_target

    def read_order(self) -> LineOrder | None:
        """Return the line's newest order."""
        version = self._order.version()
        if version == self._order_version:
            return self._newest_order
        record = self._order.read()
        if record is not None:
            self._order_version = version
            self._newest_order = LineOrder(
                refill_id=int(record["refill_id"]),
                refill_count=int(record["refill_count"]),
                take_id=int(record["take_id"]),
            )
        return self._newest_order

    def close(self) -> None:
        """Unmap everything; the last records stay for the others."""
        for mailbox in (self._target, self._order, self.joint_state, self.world_state):
            mailbox.close()
        self.report.close()


def run_world(context: ProcessContext) -> None:
    """Tick until the host asks for an end."""
    log = structlog.get_logger("world")
    world = WorldCell(context.settings)
    links = WorldLinks(context.runtime)
    gc.collect()
    gc.freeze()
    scheduling = request_priority("virtual world", _FIFO_PRIORITY, _NICENESS)
    log.info("world runs", scheduling=scheduling, parts=len(world.scene.parts))
    pace = Pace(time.monotonic_ns())
    reported = 0
    try:
        while not context.stop.is_set:
            now_ns = time.monotonic_ns()
            due = pace.count_due(now_ns)
            for _ in range(due):
                step_world(world, links, pace, log)
            if due:
                factor = pace.compute_real_time_factor(now_ns)
                links.world_state.write(
                    world.make_world_record(factor, time.monotonic_ns())
                )
                # Several ticks at once may step over a round number of them.
                if world.ticks - reported >= _REPORT_TICKS:
                    reported = world.ticks
                    links.report.write(json.dumps(world.make_report(factor)))
                context.beat()
            else:
                _pause(max(pace.due_ns - time.monotonic_ns(), 0) / 1e9)
    finally:
        links.close()


def step_world(
    world: WorldCell, links: WorldLinks, pace: Pace, log: structlog.BoundLogger
) -> None:
    """Do the tick that is due, and publish at once what must not be lost.

    Raises:
        PhysicsDivergedError: the simulator found no next state.
    """
    target = links.read_target()
    tick_ns = pace.due_ns
    result: TickResult = world.step(target, links.read_order(), tick_ns)
    if not result.has_diverged:
        links.joint_state.write(
            world.make_joint_record(result.contacts, time.monotonic_ns())
        )
    for violation in result.violations:
        log.warning(
            "limit violated",
            kind=str(violation.kind),
            tick=violation.tick,
            value=violation.value,
            detail=violation.detail,
        )
    if result.violations:
        # At once: a crash must not hide it.
        real_time_factor = pace.compute_real_time_factor(time.monotonic_ns())
        links.report.write(json.dumps(world.make_report(real_time_factor)))
    if result.has_diverged:
        raise PhysicsDivergedError(f"the physics diverged in tick {world.ticks}")
    pace.ticks += 1


def main() -> None:
    """Run the process until the host asks for an end."""
    run_world(enter_process("world"))


if __name__ == "__main__":
    sys.exit(run_entry("world", main))
