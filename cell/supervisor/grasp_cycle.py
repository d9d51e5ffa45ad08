"""One part from the bin to the outfeed, as a straight line of awaits.

Waiting for the line happens at gates, everything that can end a cycle early is a
`CauseError` or an `Outcome`. Where this coroutine is cancelled, the arm is held by the
decision loop; nothing here needs cleaning up.
"""

from collections import Counter
from dataclasses import dataclass, field

from cell.contracts.robot import GripperCommand
from cell.supervisor.attempt_record import AttemptPhase
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.force_contacts import ForceError
from cell.supervisor.grasp_choice import GraspChooser
from cell.supervisor.grasp_names import Outcome, Phase
from cell.supervisor.grasp_plan import PickPlan, PlacePlan
from cell.supervisor.gripper_station import PartWatch, is_released
from cell.supervisor.motion_client import MotionEndedError
from cell.supervisor.part_band import find_misfit
from cell.supervisor.recovery import confirm_placed, go_home
from cell.supervisor.station import Station

_RELEASE_OPENING_M = 0.03
_IN_THE_BIN = (Phase.REACHING_IN, Phase.LIFTING)


@dataclass
class GraspCycle:
    """Picks until told to finish.

    Attributes:
        station: what it works with.
        phase: what it does right now, for the status.
        failures: attempts in a row that placed nothing, by outcome.
    """

    station: Station
    phase: Phase = Phase.NONE
    failures: Counter[Outcome] = field(default_factory=Counter)
    _since_ns: int = 0
    _falls: int = 0

    async def run(self) -> None:
        """Pick part after part; returns after the cycle that was asked to be the last.

        Raises:
            CauseError: production cannot go on without a stop.
        """
        gate = self.station.gate
        chooser = GraspChooser(self.station)
        chooser.look_from_now()
        self._since_ns = self.station.clock.now_ns()
        self._falls = self.station.guardian.falls
        while not gate.shall_finish():
            self.phase = Phase.WAITING_FOR_LINE
            await gate.pass_to_pick()
            self.phase = Phase.LOOKING
            plan = await chooser.choose()
            if plan is None:
                return
            # The bin may have been refilled while we looked.
            await gate.pass_to_pick()
            if gate.shall_finish():
                return
            if not chooser.is_usable(plan):
                continue
            self._judge(await self._carry_out(plan, chooser), plan, chooser)

    async def _carry_out(self, plan: PickPlan, chooser: GraspChooser) -> Outcome:
        station, guardian = self.station, self.station.guardian
        if guardian.begin_attempt(plan):
            chooser.ask_shadow(plan)
        try:
            await self._approach(plan)
            grip_m = await self._grasp(plan)
            if grip_m is None or not await station.gripper.verify_part():
                guardian.end_attempt(is_placed=False)
                await self._clear_view(chooser)
                return _judge_lift(grip_m)
            if await self._gives_back_misfit(grip_m, chooser):
                return Outcome.WRONG_PART
            station.statistics.picked += 1
            place = await self._transfer(plan)
            chooser.look_from_now()
            if not await self._wait_for_outfeed():
                # No way home: a cell that is Suspended does not move.
                station.record("part_lost", {"while": self.phase})
                station.motion.carries_part = False
                guardian.end_attempt(is_placed=False)
                return Outcome.LOST_IN_TRANSFER
            if not await self._lower(place):
                guardian.end_attempt(is_placed=False)
                return await self._go_on_without_part(chooser)
        except MotionEndedError:
            guardian.end_attempt(is_placed=False)
            return await self._go_on_without_part(chooser)
        except ForceError as error:
            if self.phase not in _IN_THE_BIN:
                raise
            guardian.note_stop(error.cause, station.desk.take_ready)
            return await self._let_go(error, plan, chooser)
        await self._put_down(place, grip_m)
        return Outcome.PLACED

    async def _approach(self, plan: PickPlan) -> None:
        self.phase = Phase.APPROACHING
        station = self.station
        station.gate.claims_zone = True
        station.gripper.start(GripperCommand(plan.aperture_m))
        await station.motion.move_joint(plan.q_pregrasp)
        await station.gripper.wait_rest()
        station.guardian.enter(AttemptPhase.APPROACH)
        self.phase = Phase.REACHING_IN
        station.scale.begin()
        for pose in plan.path:
            # What is in the way of the fingers is not pressed at again.
            await station.motion.move_linear(
                pose,
                speed_ratio=station.layout.motion.reach_speed_ratio,
                ends_when=station.scale.look_free,
                presses_on=False,
            )

    async def _grasp(self, plan: PickPlan) -> float | None:
        """Close, lift, and return the aperture if something is in the fingers [m]."""
        self.phase = Phase.GRASPING
        station = self.station
        station.statistics.note_attempt()
        force_ratio = station.layout.grip_force_ratio
        station.guardian.enter(AttemptPhase.CLOSING)
        grip = await station.gripper.move(GripperCommand(0.0, force_ratio=force_ratio))
        station.motion.carries_part = grip.has_part
        station.guardian.note_shadow(station.desk.take_ready())
        station.guardian.enter(AttemptPhase.LIFT if grip.has_part else None)
        self.phase = Phase.LIFTING
        if not grip.has_part:
            await station.motion.move_linear(plan.retreat)
            return None
        watch = PartWatch(station.gripper)
        await station.motion.move_linear(
            plan.retreat,
            ends_when=lambda: station.scale.look_lifted() or watch.is_lost(),
        )
        return grip.aperture_m

    async def _transfer(self, plan: PickPlan) -> PlacePlan:
        self.phase = Phase.TRANSFERRING
        station = self.station
        place = station.planner.plan_place(
            station.read_arm().q, plan.grasp_height_m, station.statistics.placed
        )
        if place is None:
            raise CauseError(Cause.TARGET_UNREACHABLE, "the outfeed")
        station.guardian.enter(AttemptPhase.TRANSFER)
        await station.motion.move_joint(
            place.q_above,
            speed_ratio=station.layout.motion.loaded_speed_ratio,
            ends_when=PartWatch(station.gripper).is_lost,
        )
        station.gate.claims_zone = False
        return place

    async def _wait_for_outfeed(self) -> bool:
        """Wait above the outfeed for the line; say whether the part is still there."""
        station = self.station
        is_held = await station.gripper.verify_part()
        station.guardian.enter(None)
        if not is_held:
            return False
        self.phase = Phase.WAITING_FOR_OUTFEED
        watch = PartWatch(station.gripper)

        async def is_gone() -> bool:
            return watch.is_lost() and not await station.gripper.still_holds_part()

        # That may take hours.
        is_open = await station.gate.pass_to_place(is_gone)
        return is_open and await station.gripper.still_holds_part()

    async def _lower(self, place: PlacePlan) -> bool:
        """Go down to the outfeed; say whether there is a part to let go of.

        Empty fingers open as well as others do, so the release would tell no
        difference.
        """
        self.phase = Phase.PLACING
        station = self.station
        await station.motion.move_linear(
            place.place, ends_when=PartWatch(station.gripper).is_lost
        )
        return await station.gripper.still_holds_part()

    async def _put_down(self, place: PlacePlan, grip_m: float) -> None:
        station = self.station
        full_m = station.layout.max_aperture_m
        # The fingers carry this out even where a stop ends this coroutine.
        station.release.begin(grip_m, self._since_ns)
        await self._release(grip_m, (min(full_m, grip_m + _RELEASE_OPENING_M), full_m))
        # Not before: fingers that do not let go have placed nothing.
        station.guardian.end_attempt(is_placed=True)
        station.release.end()
        self._since_ns = confirm_placed(station, self._since_ns)
        await station.motion.move_linear(place.above)

    async def _release(self, grip_m: float, openings_m: tuple[float, ...]) -> None:
        """Open from the width of the part, one try after the other [m]."""
        for opening_m in openings_m:
            grip = await self.station.gripper.move(GripperCommand(opening_m))
            if is_released(grip_m, grip):
                self.station.motion.carries_part = False
                return
        raise CauseError(
            Cause.PLACE_NOT_CONFIRMED, f"fingers stay at {grip.aperture_m * 1e3:.0f} mm"
        )

    async def _clear_view(self, chooser: GraspChooser) -> None:
        """Leave the bin empty-handed, so that the camera sees it again."""
        self.phase = Phase.CLEARING_VIEW
        station = self.station
        station.motion.carries_part = False
        await station.motion.move_joint(
            station.layout.home_q_rad, arrival_rad=station.layout.motion.blend_rad
        )
        station.gate.claims_zone = False
        chooser.look_from_now()

    async def _go_on_without_part(self, chooser: GraspChooser) -> Outcome:
        """Rest where the part was lost, then go home slowly with open fingers."""
        station, phase = self.station, self.phase
        station.record("part_lost", {"while": phase})
        self.phase = Phase.CLEARING_VIEW
        station.motion.carries_part = False
        await station.motion.wait_rest()
        await go_home(station)
        chooser.look_from_now()
        is_lifted = phase != Phase.LIFTING
        return Outcome.LOST_IN_TRANSFER if is_lifted else Outcome.LOST_WHILE_LIFTING

    async def _let_go(
        self, met: ForceError, plan: PickPlan, chooser: GraspChooser
    ) -> Outcome:
        """Leave what is pushed at or stuck in the bin, and go home slowly.

        The guard permits no way but one on which the force falls; where it refuses
        that as well, a person is needed.
        """
        station, phase, self.phase = self.station, self.phase, Phase.LETTING_GO
        station.record("let_go", {"while": phase})
        if phase is Phase.REACHING_IN:
            station.statistics.note_attempt()
        if station.contacts.note(station.clock.now_ns()):
            raise met
        if not await station.motion.wait_rest():
            raise met
        if phase is Phase.LIFTING:
            await self._open_in_the_bin(plan)
        self.phase = Phase.CLEARING_VIEW
        await go_home(station)
        chooser.look_from_now()
        return Outcome.TOO_MUCH_FORCE

    async def _open_in_the_bin(self, plan: PickPlan) -> None:
        """Open as far as the fingers came down, for there is room for that."""
        station = self.station
        if station.motion.carries_part:
            opening_m = plan.aperture_m
            await self._release(_read_aperture_m(station), (opening_m, opening_m))
        else:
            await station.gripper.move(GripperCommand(plan.aperture_m))

    async def _gives_back_misfit(self, grip_m: float, chooser: GraspChooser) -> bool:
        """Put what is no single part of this cell back into the bin, uncounted."""
        station = self.station
        band, mass_kg = station.layout.geometry.part, station.scale.compute_mass_kg()
        misfit = find_misfit(band, grip_m, mass_kg)
        if not misfit:
            return False
        station.record("wrong_part", {"detail": misfit})
        self.phase = Phase.GIVING_BACK
        station.guardian.end_attempt(is_placed=False)
        await go_home(station)
        chooser.look_from_now()
        return True

    def _judge(self, outcome: Outcome, plan: PickPlan, chooser: GraspChooser) -> None:
        station = self.station
        station.record(
            "attempt",
            {
                "outcome": outcome.value,
                "score": plan.chunk.score,
                "model": plan.chunk.model,
                "is_fallback": plan.is_fallback,
            },
        )
        if outcome is Outcome.PLACED:
            self.failures.clear()
            chooser.note_success()
            return
        if plan.is_fallback and station.guardian.falls != self._falls:
            # What a policy failed at that has been withdrawn says nothing of the other.
            self._falls = station.guardian.falls
            self.failures.clear()
        station.statistics.note_failed(is_lost=outcome is Outcome.LOST_IN_TRANSFER)
        self.failures[outcome] += 1
        chooser.note_failure(plan)
        if self.failures.total() >= station.layout.timing.max_failures_in_row:
            tally = ", ".join(f"{n} x {kind}" for kind, n in self.failures.items())
            raise CauseError(Cause.PICK_FAILED_REPEATEDLY, tally)


def _judge_lift(grip_m: float | None) -> Outcome:
    is_lost = grip_m is not None
    return Outcome.LOST_WHILE_LIFTING if is_lost else Outcome.NOTHING_GRIPPED


def _read_aperture_m(station: Station) -> float:
    state = station.gripper.state
    return 0.0 if state is None else state.aperture_m
