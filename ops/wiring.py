"""The composition root of the supervisor: names the concrete classes it works with.

The other processes put theirs together in `ops.processes`.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from cell.contracts.drivers import Clock
from cell.contracts.errors import CellError, Complaint
from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep
from cell.contracts.runtime import ChunkCheck
from cell.drivers.clock import MonotonicClock
from cell.drivers.gripper.opening import open_gripper
from cell.drivers.plc.opening import open_plc
from cell.kinematics import compute_base_from_tcp, solve_ik
from cell.mailbox import complaint
from cell.mailbox.frames import FrameSource, frame_ring_path
from cell.mailbox.servo_link import ServoLink
from cell.mailbox.text import TextMailbox
from cell.supervisor.ports import Layout, LoadLimits, Peers
from cell.supervisor.rungs import make_rules
from cell.supervisor.supervisor import Supervisor
from cell.supervisor.task_watch import check_tasks
from ops.chunk_check import make_chunk_check
from ops.guardian_watch import make_guardian
from ops.process_end import is_ending
from ops.processes.shell import ProcessContext, StopFlag
from ops.settings import Settings, compute_model_root
from ops.telemetry import PREVIOUS_STATUS, STATUS_CAPACITY
from policies.client import PolicyWorkerClient
from policies.model_directory import read_model_directory
from policies.runtime.wire import SOCKET_NAME
from safety.ladder import Ladder

_OVERHEAD = "overhead"
_WATCHED = ("camera", "policy")
# The servo process is watched by its states, more closely than by its life sign.
_WATCHED_BY_STATE = ("servo",)
_STAYS_DOWN = " ended too often, or for good"
_STOP_LOOK_NS = 200_000_000
_STOP_TASK = "stop"


@dataclass(frozen=True, eq=False)
class StatusRecord:
    """The status mailbox; before it was ever written, what an earlier run left.

    Attributes:
        mailbox: in shared memory.
        previous: file in which the host puts the status of the run before.
    """

    mailbox: TextMailbox
    previous: Path

    def write(self, text: str) -> None:
        """Publish the status."""
        self.mailbox.write(text)

    def read(self) -> str | None:
        """Return the newest status of this run, else of the one before.

        None says that there is none. What is there and cannot be read is empty text,
        which nobody takes for the record of a cell at rest.
        """
        text = self.mailbox.read()
        if text is not None:
            return text
        if self.mailbox.version() != 0:
            return ""
        try:
            return self.previous.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            return ""


class ProcessComplaints:
    """The boxes of the other processes in the words of the supervisor."""

    def __init__(self, runtime: Path) -> None:
        sources = (
            complaint.SERVO,
            complaint.name_camera_source(_OVERHEAD),
            complaint.POLICY,
            complaint.GUARDIAN,
        )
        self._servo, self._camera, self._policy, self._guardian = (
            complaint.ComplaintBox(runtime, source) for source in sources
        )

    def read_servo(self) -> Complaint | None:
        """Return what the servo process has against the arm."""
        return self._servo.read()

    def read_camera(self) -> Complaint | None:
        """Return what the camera process has against the camera over the bin."""
        return self._camera.read()

    def read_policy(self) -> Complaint | None:
        """Return what the policy worker has against its live model."""
        return self._policy.read()

    def read_guardian(self) -> Complaint | None:
        """Return what the Guardian worker has against its model."""
        return self._guardian.read()


def make_layout(settings: Settings) -> Layout:
    """Collect the facts that the supervisor plans with."""
    return Layout(
        geometry=settings.cell,
        motion=settings.motion,
        timing=settings.supervisor,
        home_q_rad=np.array(settings.arm.home_q_rad),
        flange_from_tcp=settings.arm.flange_from_tcp.pose(),
        joint_min_rad=np.array(settings.safety.joint_min_rad),
        joint_max_rad=np.array(settings.safety.joint_max_rad),
        load_limits=LoadLimits(
            settings.safety.tcp_force_n, settings.safety.tcp_torque_nm
        ),
        max_aperture_m=settings.gripper.max_aperture_m,
        grip_force_ratio=settings.gripper.force_ratio,
        plc_period_s=_plc_figure(settings, "period_s", 0.05),
        plc_timeout_s=_plc_figure(settings, "heartbeat_timeout_s", 0.3),
        model_id=_model_id(settings),
    )


def rehearse_chunk_check(settings: Settings) -> ChunkCheck:
    """Build the check of whole chunks and compile what the first grasp would.

    It touches nothing that others see.
    """
    check = make_chunk_check(settings)
    home = np.array(settings.arm.home_q_rad)
    tool = settings.arm.flange_from_tcp.pose()
    pose = compute_base_from_tcp(home, tool)
    low, high = settings.safety.joint_min_rad, settings.safety.joint_max_rad
    solve_ik(pose, tool, home, np.array(low), np.array(high))
    lower = Pose(pose.position_m - np.array([0.0, 0.0, 0.02]), pose.quat_wxyz)
    steps = tuple(ActionStep(p, settings.gripper.max_aperture_m) for p in (pose, lower))
    check.check(ActionChunk(1, steps, 1.0, "rehearsal"), home)
    return check


async def run_supervisor(context: ProcessContext, check: ChunkCheck) -> None:
    """Build the supervisor and run it until the host asks for an end.

    Args:
        context: of the process.
        check: of whole chunks, rehearsed.
    """
    settings, runtime = context.settings, context.runtime
    log = structlog.get_logger()
    clock = MonotonicClock()
    policy = PolicyWorkerClient(
        runtime / SOCKET_NAME, settings.policy.deadline_s, clock
    )
    guardian, judge = make_guardian(settings, runtime, clock)
    frames = FrameSource(frame_ring_path(runtime, _OVERHEAD))

    def read_frame_stamp_ns() -> int | None:
        return frames.newest_stamp_ns() or None

    def record(event: str, fields: dict[str, object]) -> None:
        log.info(event, **fields)

    peers = Peers(
        clock=clock,
        servo=ServoLink.open(runtime),
        open_plc=lambda: open_plc(settings.plc, clock),
        open_gripper=lambda: open_gripper(settings.gripper, clock),
        policy=policy,
        chunk_check=check,
        ladder=Ladder(make_rules()),
        read_frame_stamp_ns=read_frame_stamp_ns,
        find_lost_process=_make_find_lost_process(context, clock),
        find_given_up=_make_find_given_up(context),
        status=StatusRecord(
            TextMailbox(runtime / "status", STATUS_CAPACITY),
            runtime / PREVIOUS_STATUS,
        ),
        complaints=ProcessComplaints(runtime),
        beat=context.beat,
        record=record,
        guardian=guardian,
    )
    # Jitter of reconnects, so that two cells do not knock at one line in step.
    jitter = random.Random()  # noqa: S311
    supervisor = Supervisor(peers, make_layout(settings), jitter)
    async with asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(policy.run(), name="policy-client"),
            tasks.create_task(
                _watch_stop(context.stop, supervisor, clock), name=_STOP_TASK
            ),
        ]
        if judge is not None:
            beside.append(tasks.create_task(judge.run(), name="guardian-client"))
        run = tasks.create_task(supervisor.run(), name="supervisor")
        await wait_for_end(run, beside, lambda: context.stop.is_set, record)
        for task in beside:
            task.cancel()


async def wait_for_end(
    run: asyncio.Task[None],
    beside: Sequence[asyncio.Task[None]],
    is_stopped: Callable[[], bool],
    record: Callable[[str, dict[str, object]], None],
) -> None:
    """Wait for the end of the supervisor; what runs beside it may not end before.

    Raises:
        TaskEndedError: one of them has ended without having failed.
    """
    living = set(beside)
    while not run.done():
        ended, _ = await asyncio.wait(
            {run, *living}, return_when=asyncio.FIRST_COMPLETED
        )
        # Whoever waits for the order to stop has nothing left to do after it.
        excused = {t for t in ended if t.get_name() == _STOP_TASK and is_stopped()}
        check_tasks(sorted(ended - {run} - excused, key=str), record)
        living -= ended
    if run.cancelled():
        check_tasks([run], record)


def _make_find_lost_process(context: ProcessContext, clock: Clock) -> Callable[[], str]:
    """Return what names the processes that are ending, or that the host misses."""
    beats = context.beats

    def is_lost(name: str, now_ns: int) -> bool:
        if beats.is_given_up(name):
            return False
        pid = beats.read_pid(name)
        return math.isinf(beats.age_s(name, now_ns)) or (pid > 0 and is_ending(pid))

    def find_lost_process() -> str:
        now_ns = clock.now_ns()
        return ", ".join(name for name in _WATCHED if is_lost(name, now_ns))

    return find_lost_process


def _make_find_given_up(context: ProcessContext) -> Callable[[], str]:
    """Return what names the processes that the host does not start any more.

    The Guardian's is none of them: without it the fallback policy picks.
    """
    beats = context.beats

    def find_given_up() -> str:
        names = [n for n in (*_WATCHED, *_WATCHED_BY_STATE) if beats.is_given_up(n)]
        return ", ".join(f"{name}{_STAYS_DOWN}" for name in names)

    return find_given_up


async def _watch_stop(stop: StopFlag, supervisor: Supervisor, clock: Clock) -> None:
    while not stop.is_set:
        await clock.sleep_until_ns(clock.now_ns() + _STOP_LOOK_NS)
    supervisor.request_end()


def _model_id(settings: Settings) -> int:
    directory = compute_model_root(settings) / settings.policy.live
    try:
        return int(read_model_directory(directory).manifest.model_sha256[:8], 16)
    except CellError:
        # The worker reports it as the reason why nothing starts.
        return 0


def _plc_figure(settings: Settings, name: str, default: float) -> float:
    value: Any = getattr(settings.plc, name, default)
    return float(value)
