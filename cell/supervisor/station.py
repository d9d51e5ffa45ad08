"""The means that the activities of the supervisor share."""

from collections.abc import Callable
from dataclasses import dataclass

from cell.contracts.drivers import Clock
from cell.contracts.runtime import ChunkCheck
from cell.contracts.servo import ServoState
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.cycle_gate import CycleGate
from cell.supervisor.grasp_plan import Planner
from cell.supervisor.gripper_station import GripperStation
from cell.supervisor.motion_client import MotionClient
from cell.supervisor.ports import Layout
from cell.supervisor.proposals import ProposalDesk
from cell.supervisor.statistics import Statistics


@dataclass(frozen=True)
class Station:
    """What grasp cycle and recovery work with.

    Attributes:
        clock: the only source of time.
        layout: the facts of this cell.
        motion: orders to the servo process.
        gripper: the fingers.
        desk: questions to the policy worker.
        gate: where to wait for the line.
        planner: poses and joint targets.
        statistics: what is counted.
        chunk_check: vets a chunk before its first step.
        record: receives events of note.
    """

    clock: Clock
    layout: Layout
    motion: MotionClient
    gripper: GripperStation
    desk: ProposalDesk
    gate: CycleGate
    planner: Planner
    statistics: Statistics
    chunk_check: ChunkCheck
    record: Callable[[str, dict[str, object]], None]

    def read_arm(self) -> ServoState:
        """Return the newest state of the arm.

        Raises:
            CauseError: the servo process has never reported.
        """
        if self.motion.state is None:
            raise CauseError(Cause.SERVO_LOST, "it never reported")
        return self.motion.state
