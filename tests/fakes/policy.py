"""A policy worker that answers from a script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cell.contracts.drivers import Clock
from cell.contracts.geometry import Pose
from cell.contracts.observation import Abstain, ActionChunk, ActionStep
from cell.contracts.runtime import Proposal
from cell.contracts.units import ns_from_s

Answer = ActionChunk | Abstain | Exception
MODEL, OTHER_MODEL = "a" * 64, "b" * 64
GRASP_XYZ_M = (-0.20, 0.48, 0.035)


def make_chunk(
    stamp_ns: int = 0,
    xyz_m: tuple[float, float, float] = GRASP_XYZ_M,
    yaw_rad: float = 0.4,
    alternatives: tuple[ActionChunk, ...] = (),
) -> ActionChunk:
    """Return a grasp with its pregrasp straight above."""
    x, y, z = xyz_m
    steps = (
        ActionStep(Pose.tool_down((x, y, z + 0.10), yaw_rad), 0.07),
        ActionStep(Pose.tool_down(xyz_m, yaw_rad), 0.07),
    )
    return ActionChunk(stamp_ns, steps, 0.9, "fake@1", alternatives)


@dataclass
class FakePolicy:
    """Answers after a while, on the newest frame.

    Attributes:
        clock: for the time it takes.
        script: answers by turn; an exception is raised. A callable gets the stamp.
        live: what the live policy answers instead, where it is given.
        think_s: time per answer [s].
        is_up: a worker is there.
        sha256: digest of the learned model that it runs, empty for none.
        asked: whether each request was for the fallback.
        stamps: the oldest frame that each request would take [ns].
        excluded: points that each request wants to stay away from.
    """

    clock: Clock
    script: list[Callable[[int], Answer]] = field(default_factory=list)
    live: Callable[[int], Answer] | None = None
    think_s: float = 0.15
    is_up: bool = True
    sha256: str = MODEL
    asked: list[bool] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    excluded: list[tuple[tuple[float, float], ...]] = field(default_factory=list)

    async def propose(
        self,
        *,
        fallback: bool,
        min_frame_stamp_ns: int,
        exclude_base_m: Sequence[tuple[float, float]] = (),
    ) -> Proposal:
        """Answer the next turn of the script, or a good grasp when it is over."""
        self.asked.append(fallback)
        self.stamps.append(min_frame_stamp_ns)
        self.excluded.append(tuple(exclude_base_m))
        sha256 = self.sha256
        await self.clock.sleep_until_ns(self.clock.now_ns() + ns_from_s(self.think_s))
        make = self.script.pop(0) if self.script else make_chunk
        make = self.live if self.live is not None and not fallback else make
        answer = make(max(min_frame_stamp_ns, self.clock.now_ns()))
        if isinstance(answer, Exception):
            raise answer
        return Proposal(answer, self.think_s * 1e3, sha256)

    def is_ready(self) -> bool:
        """Say whether it is up."""
        return self.is_up

    def model_name(self) -> str:
        """Return its name."""
        return "fake@1"

    def fallback_name(self) -> str:
        """Return the name of its fallback."""
        return "plain@1"

    def has_learned(self) -> bool:
        """Say whether it is a learned one."""
        return bool(self.model_sha256())

    def model_sha256(self) -> str:
        """Return what it runs, as far as anybody can know."""
        return self.sha256 if self.is_up else ""


def see_empty_bin(stamp_ns: int) -> Abstain:
    """Answer that the bin is empty."""
    return Abstain(stamp_ns, "the bin is empty", "fake@1", is_bin_empty=True)


def see_nothing_good(stamp_ns: int) -> Abstain:
    """Answer that nothing is worth trying."""
    return Abstain(stamp_ns, "nothing scores high enough", "fake@1")


def fail_with(error: Exception) -> Callable[[int], Answer]:
    """Answer with an exception."""
    return lambda _stamp_ns: error
