"""Observe, propose, check: from a free view of the bin to one grasp worth trying.

The live policy is asked first, the fallback policy when the live one has nothing usable
or the Guardian has withdrawn it. When both see nothing, the bin counts as exhausted and
the line is asked for a refill; the cycle then looks again from time to time.
"""

from dataclasses import dataclass, field, replace

from cell.contracts.geometry import Vector
from cell.contracts.observation import Abstain, ActionChunk
from cell.contracts.runtime import Proposal
from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.grasp_plan import PickPlan, Spot, candidates_of, spot_of
from cell.supervisor.proposals import NoProposal
from cell.supervisor.station import Station

_ROUNDS = 3
# An answer may grow old while it waits; a worker that gives nothing else is broken.
_OLD_ANSWERS = 5
_LOOK_AGAIN_S = 1.0
# Parts still roll when the line says that the bin is there.
_SETTLE_S = 0.3
_USE_BY_S = 5.0
_SAME_WORKER = (Cause.POLICY_UNAVAILABLE, Cause.POLICY_TIMEOUT)


@dataclass
class GraspChooser:
    """Chooses grasps and remembers what failed since the last success."""

    station: Station
    _failed: list[Spot] = field(default_factory=list)
    _view_free_ns: int = 0

    def look_from_now(self) -> None:
        """Say that the arm has just left the view, and ask ahead."""
        self._view_free_ns = self.station.clock.now_ns()
        self._request(fallback=not self.station.guardian.permits_learned())

    def is_usable(self, plan: PickPlan) -> bool:
        """Say whether a grasp was chosen from what the bin looks like now.

        Nor may it come from a policy that was withdrawn or replaced since.
        """
        may_act = plan.is_fallback or self.station.guardian.permits_plan(plan)
        return may_act and plan.chunk.observed_stamp_ns >= self._oldest_usable_ns()

    def ask_shadow(self, plan: PickPlan) -> None:
        """Ask the learned policy about the bin as the fallback saw it."""
        self.station.desk.request(
            plan.chunk.observed_stamp_ns, exclude_base_m=self._list_exhausted()
        )

    def note_failure(self, plan: PickPlan) -> None:
        """Remember where a grasp failed."""
        self._failed.append(spot_of(plan.chunk))

    def note_success(self) -> None:
        """Forget failures: the bin looks different now."""
        self._failed.clear()

    async def choose(self) -> PickPlan | None:
        """Return the next grasp; None when the cycle shall finish instead.

        Raises:
            CauseError: camera or policy give nothing usable.
        """
        gate = self.station.gate
        while not gate.is_finishing:
            found = await self._look()
            if found is not None:
                gate.end_refill()
                return found
            await gate.wait_refill(_LOOK_AGAIN_S)
        return None

    async def _look(self) -> PickPlan | None:
        """Return a grasp, None when there is nothing to pick."""
        last = NoProposal(Cause.POLICY_UNAVAILABLE, "never asked")
        guardian = self.station.guardian
        # What the last attempt says about the learned policy holds for this one.
        await guardian.settle()
        for _ in range(_ROUNDS):
            for fallback in (False, True) if guardian.permits_learned() else (True,):
                outcome = await self._ask(fallback=fallback)
                if isinstance(outcome, NoProposal):
                    last = outcome
                elif isinstance(outcome.answer, Abstain):
                    if outcome.answer.is_blind:
                        last = NoProposal(Cause.CAMERA_BLIND, outcome.answer.reason)
                        continue
                    if fallback or outcome.answer.is_bin_empty:
                        return None
                    continue
                else:
                    found = await self._find_plan(outcome.answer)
                    if isinstance(found, PickPlan):
                        self._note_source(fallback=fallback)
                        return replace(
                            found,
                            is_fallback=fallback,
                            model_sha256=outcome.model_sha256,
                        )
                    last = found
                if last.cause is Cause.CAMERA_STALE:
                    raise CauseError(last.cause, last.detail)
                if last.cause in _SAME_WORKER:
                    break
        raise CauseError(last.cause, last.detail)

    async def _ask(self, *, fallback: bool) -> Proposal | NoProposal:
        desk = self.station.desk
        if not desk.is_requested(fallback=fallback):
            self._request(fallback=fallback)
        for _ in range(_OLD_ANSWERS):
            outcome = await desk.collect()
            if isinstance(outcome, NoProposal):
                self.station.record(
                    "no_proposal",
                    {"cause": outcome.cause.value, "detail": outcome.detail},
                )
                return outcome
            self.station.statistics.note_policy(outcome.milliseconds)
            if outcome.answer.observed_stamp_ns >= self._oldest_usable_ns():
                if not fallback:
                    self.station.guardian.novelty.note_answer(outcome)
                return outcome
            self._request(fallback=fallback)
        desk.withdraw()
        return NoProposal(
            Cause.POLICY_OUTPUT_INVALID, "it answers on pictures older than asked for"
        )

    async def _find_plan(self, chunk: ActionChunk) -> PickPlan | NoProposal:
        """Return the first way that is reachable and passes the check."""
        q_now = self.station.read_arm().q
        refusal = "each proposed grasp failed before"
        for candidate in candidates_of(chunk, self._failed):
            if self._is_exhausted(spot_of(candidate)):
                continue
            # Planning takes milliseconds each: decisions and the line go in between.
            await self.station.clock.sleep_until_ns(0)
            plan = self.station.planner.plan_pick(candidate, q_now)
            if plan is None:
                refusal = "out of reach"
                continue
            refusal = self._find_flaw(plan, q_now)
            if not refusal:
                ways = (chunk, *chunk.alternatives)
                others = tuple(way for way in ways if way is not candidate)
                return replace(plan, others=others)
        self.station.statistics.refused_chunks += 1
        self.station.record("chunk_refused", {"reason": refusal, "model": chunk.model})
        return NoProposal(Cause.CHUNK_REFUSED, refusal)

    def _find_flaw(self, plan: PickPlan, q_now: Vector) -> str:
        """Return what is wrong with the way down or up, "" for nothing."""
        check = self.station.chunk_check
        refusal = check.check(plan.chunk, q_now)
        if refusal:
            return refusal
        refusal = check.check(plan.way_out, plan.q_grasp)
        return f"the way out: {refusal}" if refusal else ""

    def _note_source(self, *, fallback: bool) -> None:
        if fallback:
            self.station.statistics.fallback_proposals += 1
            self.station.guardian.novelty.note_fallback()

    def _is_exhausted(self, spot: Spot) -> bool:
        tries = sum(spot.is_same(failed) for failed in self._failed)
        return tries >= self.station.layout.timing.max_tries_per_part

    def _request(self, *, fallback: bool) -> None:
        station = self.station
        age_ns = ns_from_s(station.layout.timing.observation_age_s)
        oldest_ns = max(
            self._view_free_ns,
            station.clock.now_ns() - age_ns,
            self._bin_settled_ns(),
        )
        station.desk.request(
            oldest_ns,
            fallback=fallback,
            exclude_base_m=self._list_exhausted(),
        )

    def _list_exhausted(self) -> list[tuple[float, float]]:
        return [
            (spot.x_m, spot.y_m) for spot in self._failed if self._is_exhausted(spot)
        ]

    def _oldest_usable_ns(self) -> int:
        use_by_ns = self.station.clock.now_ns() - ns_from_s(_USE_BY_S)
        return max(self._view_free_ns, self._bin_settled_ns(), use_by_ns)

    def _bin_settled_ns(self) -> int:
        since_ns = self.station.gate.line.bin_present_since_ns
        return since_ns + ns_from_s(_SETTLE_S) if since_ns else 0
