"""What the supervisor needs from the outside, as Protocols and plain records.

Drivers, policies and the guard are siblings it must not import; the composition root
hands them in. Everything here is satisfied by small adapters or by the thing itself.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from cell.config import CellGeometryConfig, MotionConfig, SupervisorConfig
from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.drivers import Clock, GripperDriver, PlcLink
from cell.contracts.errors import Complaint
from cell.contracts.geometry import Pose, Vector
from cell.contracts.ladder import ReactionLadder
from cell.contracts.runtime import ChunkCheck, Guardian, Proposal
from cell.contracts.servo import ServoCommand, ServoState


class ServoPort(Protocol):
    """The supervisor's side of `cell.mailbox.servo_link.ServoLink`."""

    def write_command(self, command: ServoCommand) -> None:
        """Publish an order, or the same order with a new stamp."""
        ...

    def read_command(self) -> ServoCommand | None:
        """Return the newest order, also of an earlier life of this process."""
        ...

    def read_state(self) -> ServoState | None:
        """Return the newest state of the servo process."""
        ...


class PolicyClient(Protocol):
    """The policy worker as the supervisor sees it. One call at a time."""

    async def propose(
        self,
        *,
        fallback: bool,
        min_frame_stamp_ns: int,
        exclude_base_m: Sequence[tuple[float, float]] = (),
    ) -> Proposal:
        """Ask for a grasp on a frame that arrived at or after the given stamp.

        Args:
            fallback: ask the fallback policy instead of the live one.
            min_frame_stamp_ns: oldest frame that will do.
            exclude_base_m: points in base xy to stay away from [m].

        Raises:
            PolicyTimeoutError: no answer within the deadline.
            PolicyError: the answer may not be used.
            DriverError: the worker is not there.
        """
        ...

    def is_ready(self) -> bool:
        """Say whether a worker is connected that can answer."""
        ...

    def model_name(self) -> str:
        """Return name and version of what answers as live, empty while unknown."""
        ...

    def fallback_name(self) -> str:
        """Return name and version of the fallback policy, empty while unknown."""
        ...

    def has_learned(self) -> bool:
        """Say whether it is a learned policy that answers as live."""
        ...

    def model_sha256(self) -> str:
        """Return the digest of the learned model that runs there, empty for none."""
        ...


class GuardianNetwork(Protocol):
    """The Guardian's network, in its own process. One call at a time."""

    def is_ready(self) -> bool:
        """Say whether the network is there, loaded and the right one."""
        ...

    async def judge(self, features: AttemptFeatures) -> AttemptJudgement:
        """Have one attempt judged.

        Raises:
            PolicyTimeoutError: no answer within the deadline.
            PolicyError: the worker could not answer.
            DriverError: the worker is not there.
        """
        ...


@dataclass(frozen=True)
class GuardianPeers:
    """The Guardian of the learned policy.

    Attributes:
        guardian: the state machine, None where its model cannot be used.
        network: what judges attempts.
        network_id: digest of the network's file.
        trusts_new_model: a model that this cell has never picked with may act at once.
        take_release: returns the name of a person who agreed just now, once.
    """

    guardian: Guardian | None
    network: GuardianNetwork
    network_id: str = ""
    trusts_new_model: bool = True
    take_release: Callable[[], str] = lambda: ""


class StatusPort(Protocol):
    """`cell.mailbox.text.TextMailbox`, or anything that keeps one document."""

    def write(self, text: str) -> None:
        """Replace the document."""
        ...

    def read(self) -> str | None:
        """Return the document, also of an earlier life of this process."""
        ...


OpenPlc = Callable[[], AbstractAsyncContextManager[PlcLink]]
OpenGripper = Callable[[], AbstractAsyncContextManager[GripperDriver]]
ReadFrameStamp = Callable[[], int | None]
"""Returns the stamp of the newest frame of the camera over the bin, None before."""


class Complaints(Protocol):
    """What other processes have against their devices or models right now."""

    def read_servo(self) -> Complaint | None:
        """Return what the servo process has against the arm."""
        ...

    def read_camera(self) -> Complaint | None:
        """Return what the camera process has against the camera over the bin."""
        ...

    def read_policy(self) -> Complaint | None:
        """Return what the policy worker has against its live model."""
        ...

    def read_guardian(self) -> Complaint | None:
        """Return what the Guardian worker has against its model."""
        ...


class NoComplaints:
    """Nobody has anything to complain about."""

    def read_servo(self) -> Complaint | None:
        """Return nothing."""
        return None

    read_camera = read_policy = read_guardian = read_servo


@dataclass(frozen=True)
class Peers:
    """Everything the supervisor talks to.

    Attributes:
        clock: the only source of time.
        servo: mailboxes of the servo process.
        open_plc: opens the line PLC; entered again for every connection.
        open_gripper: opens the gripper; entered again for every connection.
        policy: the policy worker.
        chunk_check: vets a chunk before its first step.
        ladder: the rule of what every cause does and who may end it.
        read_frame_stamp_ns: newest frame of the camera over the bin.
        status: where the status is published, and where the previous one is found.
        find_lost_process: returns the name of a process that has ended and will be
            started again, empty while there is none.
        find_given_up: returns the name of a process that is not started any more, empty
            while there is none.
        complaints: what other processes complain about.
        beat: tells the process host that the decision loop makes progress.
        record: receives every event of note, as a name and its fields.
        guardian: watches the learned policy, None when none is configured.
    """

    clock: Clock
    servo: ServoPort
    open_plc: OpenPlc
    open_gripper: OpenGripper
    policy: PolicyClient
    chunk_check: ChunkCheck
    ladder: ReactionLadder
    read_frame_stamp_ns: ReadFrameStamp
    status: StatusPort
    find_lost_process: Callable[[], str] = lambda: ""
    find_given_up: Callable[[], str] = lambda: ""
    complaints: Complaints = field(default_factory=NoComplaints)
    beat: Callable[[], None] = lambda: None
    record: Callable[[str, dict[str, object]], None] = lambda _event, _fields: None
    guardian: GuardianPeers | None = None


@dataclass(frozen=True)
class LoadLimits:
    """The guard's limits of what the tool feels.

    Attributes:
        force_n: of its force [N].
        torque_nm: of its torque [N.m].
    """

    force_n: float
    torque_nm: float


@dataclass(frozen=True, eq=False)
class Layout:
    """The facts of this cell that the supervisor plans with.

    Attributes:
        geometry: bin and outfeed.
        motion: heights and blending.
        timing: periods and patience.
        home_q_rad: waiting place above the outfeed, shape (6,) [rad].
        flange_from_tcp: tool.
        joint_min_rad: lower joint limits, shape (6,) [rad].
        joint_max_rad: upper joint limits, shape (6,) [rad].
        load_limits: what the tool may feel.
        max_aperture_m: fingers fully open [m].
        grip_force_ratio: 0..1 of the gripper's force.
        plc_period_s: period of the exchange with the line [s].
        plc_timeout_s: silence after which the line counts as lost [s].
        model_id: first 32 bits of the live model's digest, for the PLC.
    """

    geometry: CellGeometryConfig
    motion: MotionConfig
    timing: SupervisorConfig
    home_q_rad: Vector
    flange_from_tcp: Pose
    joint_min_rad: Vector
    joint_max_rad: Vector
    load_limits: LoadLimits
    max_aperture_m: float
    grip_force_ratio: float
    plc_period_s: float
    plc_timeout_s: float
    model_id: int = 0
