"""The work of the acting states, and the one task that does it at a time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum

from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.decision import Finding
from cell.supervisor.grasp_cycle import GraspCycle
from cell.supervisor.permissives import Unmet
from cell.supervisor.recovery import go_home, leave_release_open, settle_release
from cell.supervisor.states import State
from cell.supervisor.station import Station

_RESET_PATIENCE_S = 20.0
_POLL_S = 0.05


class Work(Enum):
    """Kinds of work. One that is shared by states goes on from one to the next."""

    NONE = "none"
    REST = "rest"
    CLEAR = "clear"
    RESET = "reset"
    START = "start"
    UNHOLD = "unhold"
    PRODUCE = "produce"


WORK_OF_STATE = {
    State.STOPPED: Work.NONE,
    State.IDLE: Work.NONE,
    State.HELD: Work.NONE,
    State.ABORTED: Work.NONE,
    State.COMPLETED: Work.NONE,
    State.HOLDING: Work.REST,
    State.STOPPING: Work.REST,
    State.ABORTING: Work.REST,
    State.CLEARING: Work.CLEAR,
    State.RESETTING: Work.RESET,
    State.STARTING: Work.START,
    State.UNHOLDING: Work.UNHOLD,
    State.EXECUTE: Work.PRODUCE,
    State.SUSPENDING: Work.PRODUCE,
    State.SUSPENDED: Work.PRODUCE,
    State.UNSUSPENDING: Work.PRODUCE,
    State.COMPLETING: Work.PRODUCE,
}


@dataclass
class Activity:
    """One run of one kind of work.

    Attributes:
        work: which kind.
        has_ended: it ran to its end or failed.
        failure: why it failed, None when it did not.
    """

    work: Work
    has_ended: bool = False
    failure: Finding | None = None


class ActivityRunner:
    """Starts the work of a state and cancels that of the state before.

    Attributes:
        current: what is being done.
        cycle: the grasp cycle, newest or present.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        station: Station,
        find_unmet: Callable[[], tuple[Unmet, ...]],
    ) -> None:
        self.current = Activity(Work.NONE)
        self.cycle = GraspCycle(station)
        self._tasks = tasks
        self._station = station
        self._find_unmet = find_unmet
        self._task: asyncio.Task[None] | None = None

    def find_vanished(self) -> str:
        """Return the name of a task that ended in the middle of its work."""
        task = self._task
        if task is None or not task.cancelled() or self.current.has_ended:
            return ""
        return task.get_name()

    def enter(self, state: State) -> None:
        """Do the work of `state` from now on."""
        work = WORK_OF_STATE[state]
        if work is Work.PRODUCE and self.current.work is Work.PRODUCE:
            return
        self.cancel()
        if state is State.ABORTING:
            # Somebody comes to look, and may take the part away.
            leave_release_open(self._station, "the cell was aborted meanwhile")
        self.current = activity = Activity(work)
        if work is Work.NONE:
            return
        self._station.gate.restart()
        self._task = self._tasks.create_task(
            _run(activity, self._make(work)), name=f"work-{work.value}"
        )

    def cancel(self) -> None:
        """Abandon the present work at its next await."""
        if self._task is not None:
            self._task.cancel()
        self._task = None
        self._station.desk.withdraw()
        self._station.guardian.drop_attempt()

    def _make(self, work: Work) -> Coroutine[None, None, None]:
        station = self._station
        match work:
            case Work.RESET:
                return reset(station, self._find_unmet)
            case Work.START:
                return go_home(station)
            case Work.UNHOLD:
                return unhold(station)
            case Work.PRODUCE:
                self.cycle = GraspCycle(station)
                return self.cycle.run()
            case Work.REST:
                return rest(station)
            case _:
                return clear()


async def rest(station: Station) -> None:
    """Wait for the arm to stand still, and for the end of a release at the outfeed.

    As long as there is a chance to see it.
    """
    await station.motion.wait_rest()
    await settle_release(station)


async def clear() -> None:
    """Do nothing: what has to be cleared is cleared by the person who commands it."""


async def reset(station: Station, find_unmet: Callable[[], tuple[Unmet, ...]]) -> None:
    """Arm the servo process anew and wait for all peers. Moves nothing but fingers.

    Raises:
        CauseError: something is still missing after a while.
    """
    await make_ready(station)
    deadline_ns = station.clock.now_ns() + ns_from_s(_RESET_PATIENCE_S)
    while unmet := find_unmet():
        if station.clock.now_ns() > deadline_ns:
            raise CauseError(
                Cause.RESET_FAILED, "; ".join(entry.what for entry in unmet)
            )
        await station.clock.sleep_until_ns(station.clock.now_ns() + ns_from_s(_POLL_S))


async def make_ready(station: Station, *, survives_losses: bool = True) -> None:
    """Release the arm, activate the fingers.

    Args:
        station: what it works with.
        survives_losses: see `MotionClient.release`.

    Raises:
        CauseError: one of them did not become ready.
    """
    station.gate.is_making_ready = True
    try:
        await station.motion.release(survives_losses=survives_losses)
        await station.gripper.activate()
    finally:
        station.gate.is_making_ready = False


async def unhold(station: Station) -> None:
    """Make arm and fingers ready again, then go home before picking on.

    Raises:
        CauseError: the arm did not become ready, or something on the way did not work.
    """
    await make_ready(station, survives_losses=False)
    await go_home(station)


async def _run(activity: Activity, work: Coroutine[None, None, None]) -> None:
    # Only known causes end here; anything else ends the whole supervisor.
    try:
        await work
    except CauseError as error:
        activity.failure = Finding(error.cause, error.detail)
    activity.has_ended = True
