"""Protocols through which policies and the guard reach the runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from cell.contracts.attempt import AttemptJudgement, AttemptResult
from cell.contracts.geometry import Vector
from cell.contracts.observation import Abstain, ActionChunk, Observation
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
    """

    answer: ActionChunk | Abstain
    milliseconds: float


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
        margin: distance to the nearest limit as a ratio of it; negative when broken.
        value: the offending value, in the unit of its limit.
    """

    q: Vector
    reason: HoldReason
    margin: float
    value: float


class MotionGuard(Protocol):
    """Vets every setpoint of the servo process, in the last step before the robot."""

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest from a measured position, shape (6,) [rad]."""
        ...

    def vet(
        self, q_request: Vector, command_stamp_ns: int, arm_stamp_ns: int, now_ns: int
    ) -> Verdict:
        """Vet one joint request, shape (6,) [rad]; on refusal ramp to rest and hold."""
        ...

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Ramp to rest and hold, for a cause that the caller found."""
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

    def permits_learned(self, now_ns: int) -> bool:
        """Say whether the learned policy may act; False means the scripted fallback."""
        ...

    def expect_judgement(self, attempt: int, now_ns: int) -> None:
        """Say that an attempt has ended and that the network was asked about it."""
        ...

    def note_attempt(
        self, judgement: AttemptJudgement, result: AttemptResult, now_ns: int
    ) -> None:
        """Take one attempt into account: executed, or agreed with while in shadow."""
        ...

    def note_network_lost(self) -> None:
        """Say that the network is gone or failed to answer."""
        ...

    def release(self, person: str, now_ns: int) -> bool:
        """Let a named person agree to the return; False when there is none to agree to.

        It shortens no evidence.
        """
        ...
