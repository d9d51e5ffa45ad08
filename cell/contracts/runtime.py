"""Protocols through which policies and the guard reach the runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from numpy.typing import NDArray

from cell.contracts.attempt import AttemptJudgement, AttemptResult
from cell.contracts.geometry import Pose, Vector
from cell.contracts.guardian import GuardianMemory, GuardianView
from cell.contracts.observation import Abstain, ActionChunk, Modality, Observation
from cell.contracts.servo import HoldReason


class GraspPolicy(Protocol):
    """Anything that turns an observation into an action chunk."""

    @property
    def name(self) -> str:
        """Name and version for the record."""
        ...

    def propose(self, observation: Observation) -> ActionChunk | Abstain:
        """Answer one observation. Pure but for its own model state."""
        ...


@dataclass(frozen=True, eq=False)
class Proposal:
    """A policy's answer and what it took.

    Attributes:
        answer: a grasp, or the statement that nothing is worth trying.
        milliseconds: time of the policy alone [ms].
        model_sha256: digest of the learned model in the worker that answered, by its
            own word; empty where it has none.
    """

    answer: ActionChunk | Abstain
    milliseconds: float
    model_sha256: str = ""


class TensorSession(Protocol):
    """A loaded network."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once; names, shapes and types are those of the manifest."""
        ...


@dataclass(frozen=True, eq=False)
class Verdict:
    """The guard's answer for one control cycle.

    Attributes:
        q: the joint position to send, shape (6,) [rad]; the request only if accepted.
        reason: NONE when the request was accepted, otherwise the first limit it broke.
        limit: what margin, value and item speak of: the limit that was broken, which is
            the reason, or the nearest one when the request was accepted.
        margin: how far from the limit, as a ratio: of the limit, of the range for
            positions, of the distance that slows down for clearance. Negative when
            broken, -1 where nothing is measured. What stands beyond a limit already and
            may leave has 0.
        value: what is measured against the limit, in its unit; 0 for nothing.
        item: the joint, axis or check that it belongs to, by `limit`; -1 for none:
            joints, axes and checks are counted from 0 each.
        scale: how fast, as a ratio, the next requests may go: below 1 near a limit.
    """

    q: Vector
    reason: HoldReason
    limit: HoldReason
    margin: float
    value: float
    item: int = -1
    scale: float = 1.0


class MotionGuard(Protocol):
    """Vets every setpoint of the servo process, in the last step before the robot."""

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest from a measured position, shape (6,) [rad]."""
        ...

    def attach(self, radius_m: float, length_m: float) -> None:
        """Take note of the part in the fingers [m]; radius 0 when there is none."""
        ...

    def vet(
        self,
        q_request: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one joint request, shape (6,) [rad]; on refusal ramp to rest and hold."""
        ...

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Ramp to rest and hold, for a cause that the caller found."""
        ...

    def describe(self, verdict: Verdict) -> str:
        """Return limit, joint, axis or pair, and value of a verdict in a few words."""
        ...


class RequestGuard(MotionGuard, Protocol):
    """A guard that also takes what a policy may ask for cycle by cycle.

    Whatever is asked for is projected onto what the arm may do, and vetted.
    """

    def slow_down(self, ratio: float) -> None:
        """Scale the speeds of actions and poses from the next one on, 0..1."""
        ...

    def vet_action(
        self,
        action: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet six normalised joint increments for this cycle, each -1..1."""
        ...

    def vet_pose(
        self,
        base_from_tcp: Pose,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one cycle of the way to a tool pose, at which the arm comes to rest."""
        ...


class PlanRefusal(StrEnum):
    """Why there is no approved way to rest any more."""

    NOT_APPROVED = "no way to rest was approved"
    NOT_MEASURED = "it is not known where the arm is"
    EXPIRED = "its time had run out"
    OTHER_POSE = "the arm is not where it was approved for"
    OTHER_WAY = "the hold leads elsewhere"


@dataclass(frozen=True, eq=False)
class FallbackPlan:
    """A complete way to rest that was approved before it was needed.

    The arm slows down along the way it was going, holds where that ends, and at last
    the robot's program is ended by a controlled stop. Everything up to there happens
    inside of one stretch of joint space.

    Attributes:
        q: setpoint that it begins with, shape (6,) [rad].
        q_low: lower end of the stretch, shape (6,) [rad].
        q_high: upper end of the stretch, shape (6,) [rad].
        tolerance_rad: how far outside of it the measured joints may be, shape (6,).
        approved_ns: when it was approved.
        valid_until_ns: by when it has to be confirmed again.
    """

    q: Vector
    q_low: Vector
    q_high: Vector
    tolerance_rad: Vector
    approved_ns: int
    valid_until_ns: int


class SafeActionSource(Protocol):
    """Keeps the one approved way to rest; see `safety.action_cache`."""

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest at a measured position, shape (6,) [rad]."""
        ...

    def approve(self, q: Vector, qd: Vector, now_ns: int) -> None:
        """Begin the plan anew from a granted setpoint and its velocity."""
        ...

    def take(self, q_measured: Vector, now_ns: int) -> FallbackPlan | PlanRefusal:
        """Return the plan for one more cycle, or why there is none any more."""
        ...


@dataclass(frozen=True, eq=False)
class Compensated:
    """An observation in which a lost modality was made up for.

    Attributes:
        observation: with what was made up marked as valid.
        confidence: probability that acting on it is as good as on the real thing, 0..1.
    """

    observation: Observation
    confidence: float


class ModalityCompensation(Protocol):
    """Makes up for modalities that may not be used, from those that may."""

    def compensate(
        self, observation: Observation, missing: frozenset[Modality]
    ) -> Compensated | None:
        """Return what it makes of the rest, None where it knows no way."""
        ...


class ChunkCheck(Protocol):
    """Vets a whole action chunk before its first step is sent."""

    def check(self, chunk: ActionChunk, q_start: Vector) -> str:
        """Return an empty string, or one phrase that says what is wrong with it."""
        ...


class Guardian(Protocol):
    """Watches how grasps end, and withdraws the learned policy when they grow worse.

    It can only restrict: nothing here moves anything, and a policy that another part
    of the cell has turned down is not brought back. Not safety-rated.
    """

    def begin(self, memory: GuardianMemory) -> None:
        """Start once, with what the life before left; until then nothing is trusted."""
        ...

    def forget(self) -> None:
        """Trust nothing until the next `begin`: another learned model runs now."""
        ...

    def permits_learned(self, now_ns: int) -> bool:
        """Say whether the learned policy may act; False means the scripted fallback."""
        ...

    def view(self) -> GuardianView:
        """Return where it stands."""
        ...

    def remember(self) -> GuardianMemory | None:
        """Return what its next life has to know, None before it has begun."""
        ...

    def expect_judgement(self, attempt: int, now_ns: int) -> None:
        """Say that an attempt has ended and that the network was asked about it."""
        ...

    def note_attempt(
        self, judgement: AttemptJudgement, result: AttemptResult, now_ns: int
    ) -> None:
        """Take one attempt into account: executed, or agreed with while in shadow."""
        ...

    def note_disagreement(self) -> None:
        """Say that in shadow the learned policy proposed something else, or nothing."""
        ...

    def note_network_lost(self) -> None:
        """Say that the network is gone or failed to answer."""
        ...

    def release(self, person: str, now_ns: int) -> bool:
        """Let a named person agree to the return; False when there is none to agree to.

        It shortens no evidence.
        """
        ...
