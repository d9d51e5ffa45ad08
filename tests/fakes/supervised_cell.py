"""A supervisor with scripted peers and its own time."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cell.config import CellGeometryConfig, MotionConfig, SupervisorConfig
from cell.contracts.errors import Complaint
from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import ActionChunk
from cell.contracts.plc import PlcOutputs
from cell.drivers.plc.freshness import HeartbeatTracker
from cell.drivers.plc.opening import WatchedPlc
from cell.drivers.plc.sim import SimLine, make_line, open_sim_plc
from cell.kinematics.inverse import JOINT_MAX_RAD, JOINT_MIN_RAD
from cell.supervisor.ports import GuardianPeers, Layout, LoadLimits, Peers
from cell.supervisor.rungs import make_rules
from cell.supervisor.states import Command, State
from cell.supervisor.supervisor import Supervisor
from safety.ladder import Ladder
from tests.fakes.clock import FakeClock
from tests.fakes.gripper import FakeFingers
from tests.fakes.policy import FakePolicy
from tests.fakes.servo import FakeServo

CONFIG = Path(__file__).resolve().parents[2] / "config.yaml"
_HOPS = 6
PLC_TIMEOUT_S, PLC_PERIOD_S = 0.3, 0.05


def make_layout() -> Layout:
    """Return the layout of the shipped configuration."""
    tree = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    tool = tree["arm"]["flange_from_tcp"]
    return Layout(
        geometry=CellGeometryConfig.model_validate(tree["cell"]),
        motion=MotionConfig.model_validate(tree["motion"]),
        timing=SupervisorConfig.model_validate(tree["supervisor"]),
        home_q_rad=np.array(tree["arm"]["home_q_rad"]),
        flange_from_tcp=Pose.from_rotvec(tool["position_m"], tool["rotvec_rad"]),
        joint_min_rad=JOINT_MIN_RAD,
        joint_max_rad=JOINT_MAX_RAD,
        load_limits=LoadLimits(
            tree["safety"]["tcp_force_n"], tree["safety"]["tcp_torque_nm"]
        ),
        max_aperture_m=0.085,
        grip_force_ratio=0.4,
        plc_period_s=PLC_PERIOD_S,
        plc_timeout_s=PLC_TIMEOUT_S,
        model_id=0x1234,
    )


class MemoryStatus:
    """Keeps the newest status document."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    def write(self, text: str) -> None:
        """Replace the document."""
        self.text = text

    def read(self) -> str | None:
        """Return the document."""
        return self.text


class FakeChunkCheck:
    """Refuses with the phrases it was given, then accepts."""

    def __init__(self) -> None:
        self.phrases: list[str] = []
        self.default = ""

    def check(self, chunk: ActionChunk, q_start: Vector) -> str:
        """Return the next phrase."""
        return self.phrases.pop(0) if self.phrases else self.default


@dataclass
class FakeComplaints:
    """What other processes complain about, by whom."""

    servo: Complaint | None = None
    camera: Complaint | None = None
    policy: Complaint | None = None
    guardian: Complaint | None = None

    def read_servo(self) -> Complaint | None:
        """Return what the servo process has against the arm."""
        return self.servo

    def read_camera(self) -> Complaint | None:
        """Return what the camera process has against its camera."""
        return self.camera

    def read_policy(self) -> Complaint | None:
        """Return what the policy worker has against its model."""
        return self.policy

    def read_guardian(self) -> Complaint | None:
        """Return what the Guardian worker has against its model."""
        return self.guardian


@dataclass
class SupervisedCell:
    """The supervisor under test and everything around it."""

    clock: FakeClock = field(default_factory=FakeClock)
    line: SimLine = field(default_factory=make_line)
    layout: Layout = field(default_factory=make_layout)
    status: MemoryStatus = field(default_factory=MemoryStatus)
    check: FakeChunkCheck = field(default_factory=FakeChunkCheck)
    complaints: FakeComplaints = field(default_factory=FakeComplaints)
    guardian: GuardianPeers | None = None
    camera_is_live: bool = True
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    visited: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        layout = self.layout
        self.servo = FakeServo(self.clock, layout.home_q_rad, layout.flange_from_tcp)
        self.fingers = FakeFingers(self.clock)
        self.policy = FakePolicy(self.clock)
        self.frame_stamp_ns: int | None = self.clock.now_ns()
        self.lost_process = ""
        self.given_up = ""
        self.beats = 0
        self.supervisor = self.make_supervisor()
        self._task: asyncio.Task[None] | None = None

    def make_supervisor(self) -> Supervisor:
        """Return a supervisor that starts from the present status document."""
        return Supervisor(
            Peers(
                clock=self.clock,
                servo=self.servo,
                open_plc=self._open_plc,
                open_gripper=self.fingers.open,
                policy=self.policy,
                chunk_check=self.check,
                ladder=Ladder(make_rules()),
                read_frame_stamp_ns=lambda: self.frame_stamp_ns,
                status=self.status,
                find_lost_process=lambda: self.lost_process,
                find_given_up=lambda: self.given_up,
                complaints=self.complaints,
                beat=self._beat,
                record=self._record,
                guardian=self.guardian,
            ),
            self.layout,
            random.Random(0),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SupervisedCell"]:
        """Run the supervisor; cancel it at the end."""
        async with asyncio.TaskGroup() as tasks:
            self._task = tasks.create_task(self.supervisor.run())
            yield self
            self._task.cancel()

    async def step(self) -> None:
        """Let everything happen that happens now, then go to the next deadline."""
        for _ in range(_HOPS):
            await asyncio.sleep(0)
        if self._task is not None and self._task.done():
            return
        self.clock.advance_to_next()
        if self.camera_is_live:
            self.frame_stamp_ns = self.clock.now_ns() - 30_000_000

    async def until(self, condition: Callable[[], bool], limit_s: float = 30.0) -> None:
        """Go on until a condition holds; fail with the status when it does not."""
        end_ns = self.clock.now_ns() + round(limit_s * 1e9)
        while not condition():
            if self._task is not None and self._task.done():
                await self._task
            assert self.clock.now_ns() < end_ns, self.describe()
            await self.step()

    async def pass_s(self, duration_s: float) -> None:
        """Let time pass."""
        end_ns = self.clock.now_ns() + round(duration_s * 1e9)
        await self.until(lambda: self.clock.now_ns() >= end_ns, duration_s + 1.0)

    async def until_state(self, *states: State, limit_s: float = 30.0) -> None:
        """Go on until one of these states."""
        await self.until(lambda: self.supervisor.state in states, limit_s)

    async def command(self, command: Command) -> None:
        """Raise the line's strobe and wait for the answer, or a second without."""
        self.line.request_command(int(command))
        end_ns = self.clock.now_ns() + 1_000_000_000
        await self.until(
            lambda: not self.line.inputs.command_request or self.clock.now_ns() > end_ns
        )
        self.set_line(command_request=False)
        await self.pass_s(0.12)

    async def acknowledge(self, person_id: int = 7) -> None:
        """Press and release the acknowledge button as a person."""
        self.set_line(fault_ack=True, person_id=person_id)
        await self.pass_s(0.12)
        self.set_line(fault_ack=False)
        await self.pass_s(0.12)

    async def start(self) -> None:
        """Bring the cell from Stopped to Execute."""
        await self.pass_s(0.5)
        await self.command(Command.RESET)
        await self.until_state(State.IDLE)
        await self.pass_s(0.12)
        await self.command(Command.START)
        await self.until_state(State.EXECUTE)

    def tree(self) -> dict[str, Any]:
        """Return the newest status."""
        return dict(json.loads(self.status.text or "{}"))

    def describe(self) -> str:
        """Return what a failed test wants to know."""
        tree = self.tree()
        keys = ("state", "state_reason", "permissives", "phase", "events")
        return "\n".join(f"{key}: {tree.get(key)}" for key in keys)

    def set_line(self, **inputs: Any) -> None:
        """Change what the line says from its next block on."""
        self.line.inputs = replace(self.line.inputs, **inputs)

    def told(self) -> PlcOutputs:
        """Return what the line heard from us last."""
        return self.line.outputs

    @asynccontextmanager
    async def _open_plc(self) -> AsyncIterator[WatchedPlc]:
        async with open_sim_plc(self.clock, self.line) as link:
            yield WatchedPlc(
                link, HeartbeatTracker(PLC_TIMEOUT_S, PLC_PERIOD_S), self.clock
            )

    def _beat(self) -> None:
        self.beats += 1
        state = self.supervisor.state
        if not self.visited or self.visited[-1] is not state:
            self.visited.append(state)

    def _record(self, event: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))
