"""The means that the activities of the supervisor share."""

from collections.abc import Callable
from dataclasses import dataclass

from cell.contracts.drivers import Clock
from cell.contracts.runtime import ChunkCheck
from cell.contracts.servo import ServoState
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.cycle_gate import CycleGate
from cell.supervisor.force_contacts import ForceContacts
from cell.supervisor.grasp_plan import Planner
from cell.supervisor.gripper_station import GripperStation
from cell.supervisor.guardian_desk import GuardianDesk
from cell.supervisor.motion_client import MotionClient
from cell.supervisor.part_band import PartScale
from cell.supervisor.part_release import PartRelease
from cell.supervisor.plc_exchange import PlcExchange
from cell.supervisor.ports import Layout, Peers
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
        scale: weighs what was lifted.
        statistics: what is counted.
        release: of a part at the outfeed, as long as it is under way.
        contacts: grasps that were given up because of force.
        guardian: who may propose, and what the Guardian is told.
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
    scale: PartScale
    statistics: Statistics
    release: PartRelease
    contacts: ForceContacts
    guardian: GuardianDesk
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


def make_station(
    peers: Peers,
    layout: Layout,
    exchange: PlcExchange,
    statistics: Statistics,
    record: Callable[[str, dict[str, object]], None],
    previous: str | None,
) -> Station:
    """Put the means together; touches no device yet.

    Args:
        peers: everything the supervisor talks to.
        layout: the facts of this cell.
        exchange: the line.
        statistics: what is counted.
        record: receives events of note.
        previous: the newest status of the life before, None when there was none.
    """
    clock = peers.clock
    motion = MotionClient(peers.servo, clock, layout.load_limits)
    gripper = GripperStation(peers.open_gripper, clock)
    return Station(
        clock=clock,
        layout=layout,
        motion=motion,
        gripper=gripper,
        desk=ProposalDesk(peers.policy, peers.read_frame_stamp_ns, clock),
        gate=CycleGate(clock, exchange, exchange.handshake),
        planner=Planner(layout),
        scale=PartScale(peers.servo),
        statistics=statistics,
        release=PartRelease(),
        contacts=ForceContacts(),
        guardian=GuardianDesk(
            peers.guardian, peers.policy, motion, gripper, clock, record, previous
        ),
        chunk_check=peers.chunk_check,
        record=record,
    )
