"""Between the grasp cycle and the Guardian: who may propose, and what is told of it.

The cycle says which grasp it carries out and where it stands in it; the decision loop
lends its turns to take samples. At the end of an attempt the network is asked, in its
own process, and the answer moves the Guardian's state machine. Nothing here moves the
arm; whatever goes wrong leads to the fallback policy.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from cell.contracts.attempt import AttemptFeatures, AttemptResult
from cell.contracts.drivers import Clock
from cell.contracts.errors import DriverError, PolicyError, PolicyTimeoutError
from cell.contracts.guardian import GuardianMemory, GuardianView
from cell.contracts.observation import Abstain, ActionChunk
from cell.contracts.runtime import Guardian, Proposal
from cell.contracts.units import ns_from_s
from cell.supervisor.attempt_record import AttemptPhase, AttemptRecord
from cell.supervisor.causes import Cause
from cell.supervisor.grasp_plan import PickPlan, spot_of
from cell.supervisor.gripper_station import GripperStation
from cell.supervisor.guardian_record import GuardianRecord
from cell.supervisor.intervention_rate import InterventionRate, is_own_doing
from cell.supervisor.motion_client import MotionClient
from cell.supervisor.novelty_watch import NoveltyWatch
from cell.supervisor.ports import GuardianPeers, PolicyClient
from cell.supervisor.proposals import NoProposal

_POLL_S: Final = 0.005
_START_PATIENCE_S: Final = 20.0
"""Loading the network takes seconds; until then the fallback picks without an alarm."""

_SHADOW_FRAME_S: Final = 0.25
"""A picture taken later than this after the arm set out may show the arm."""

_NOT_THERE: Final = "the Guardian's network does not run"
_RELEASE: Final = "it waits for a named person: cellward guardian release --by NAME"


class GuardianDesk:
    """Keeps the present attempt and the conversation with the Guardian's network.

    Attributes:
        falls: how often the learned policy was withdrawn in this life.
        looks: proposals of the learned policy that were compared in shadow.
        agreements: those of them that proposed what the fallback did.
        rate: how often grasps of the learned policy are held up.
        novelty: whether it knows what it sees.
    """

    def __init__(
        self,
        peers: GuardianPeers | None,
        policy: PolicyClient,
        motion: MotionClient,
        gripper: GripperStation,
        clock: Clock,
        record: Callable[[str, dict[str, object]], None],
        previous: str | None,
    ) -> None:
        """Read what the life before left; trust nothing before the network is there.

        Args:
            peers: the Guardian and its network, None when no learned policy is
                configured.
            policy: whether a learned policy answers.
            motion: the arm's state.
            gripper: the opening of the fingers.
            clock: the only source of time.
            record: receives events of note.
            previous: the newest status of the life before, None when there was none.
        """
        self.falls = self.looks = self.agreements = 0
        self.rate = InterventionRate(motion)
        self.novelty = NoveltyWatch(policy, record)
        self._peers = peers
        self._policy, self._motion, self._gripper = policy, motion, gripper
        self._clock, self._record_event = clock, record
        self._started_ns = clock.now_ns()
        self._was_ready = False
        self._known: tuple[str, str] = ("", "")
        self._attempts = 0
        self._plan: PickPlan | None = None
        self._record: AttemptRecord | None = None
        self._phase: AttemptPhase | None = None
        self._begun_ns = 0
        self._has_claim = self._awaits_shadow = False
        self._questions: deque[tuple[str, AttemptFeatures, AttemptResult]] = deque()
        self._is_asking = False
        self._asked = asyncio.Event()
        # Whose trust this is: what the policy worker said last that it runs.
        self._subject = ""
        self._memory = GuardianMemory(was_trusted=False)
        network = "" if peers is None else peers.network_id
        self._history = GuardianRecord(previous, network)

    # --- who may propose --------------------------------------------------------------

    def permits_learned(self) -> bool:
        """Say whether the learned policy may act; False means the fallback.

        The one that the worker runs right now: an unknown one is not trusted.
        """
        if self._peers is None:
            return True
        guardian = self._peers.guardian
        is_there = guardian is not None and self._peers.network.is_ready()
        is_known = self._policy.model_sha256() == self._subject != ""
        return (
            is_there
            and is_known
            and guardian is not None
            and guardian.permits_learned(self._clock.now_ns())
        )

    def permits_plan(self, plan: PickPlan) -> bool:
        """Say whether a grasp of the learned policy may be carried out."""
        is_own = self._peers is None or plan.model_sha256 == self._subject
        return is_own and self.permits_learned()

    def is_fallback(self) -> bool:
        """Say whether the fallback picks in place of a learned policy.

        Also of one that may act and has not known what it sees for a while.
        """
        if self.novelty.stands():
            return True
        if self._peers is None or not self._policy.is_ready():
            return False
        return not (self.permits_learned() and self._policy.has_learned())

    async def settle(self) -> None:
        """Wait until the last attempt is judged; its verdict is about the next one."""
        while self._questions or self._is_asking:
            await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(_POLL_S))

    # --- the attempt ------------------------------------------------------------------

    def begin_attempt(self, plan: PickPlan) -> bool:
        """Take note of the grasp that is carried out; say if a shadow is wanted."""
        self.drop_attempt()
        if self._peers is None or not self._policy.has_learned():
            return False
        self._attempts += 1
        self._plan, self._begun_ns = plan, self._clock.now_ns()
        self._record = AttemptRecord(self._attempts, plan.chunk, plan.others)
        self._has_claim = not plan.is_fallback
        if self._has_claim:
            self.rate.begin()
        self._awaits_shadow = plan.is_fallback and not self.permits_learned()
        return self._awaits_shadow

    def enter(self, phase: AttemptPhase | None) -> None:
        """Say where in the attempt it is from now on; None between phases."""
        self._phase = phase

    def note_shadow(self, outcome: Proposal | NoProposal | None) -> None:
        """Compare what the learned policy would have proposed with what is done.

        Its first choice alone: that is what it would have had carried out.

        Args:
            outcome: of the question in shadow, None where it has not been answered.
        """
        self._awaits_shadow = False
        plan, record = self._plan, self._record
        if plan is None or record is None or not self._is_comparable(outcome):
            return
        chunk = outcome.answer if isinstance(outcome, Proposal) else None
        if isinstance(outcome, Proposal):
            self.novelty.note_answer(outcome)
            self.novelty.note_fallback()
        self.looks += 1
        fields: dict[str, object] = {"agrees": False}
        if isinstance(chunk, ActionChunk):
            fields["score"] = chunk.score
            fields["agrees"] = spot_of(chunk).is_same(spot_of(plan.chunk))
        self._record_event("shadow", fields)
        if isinstance(chunk, ActionChunk) and fields["agrees"]:
            self.agreements += 1
            record.claim(chunk, chunk.alternatives)
            self._has_claim = True
        elif self._peers is not None and self._peers.guardian is not None:
            self._peers.guardian.note_disagreement()

    def end_attempt(self, *, is_placed: bool) -> None:
        """Have the attempt judged, where it says something about the learned policy."""
        record, has_claim = self._record, self._has_claim
        self.drop_attempt()
        if record is None or not has_claim or self._peers is None:
            return
        if self._peers.guardian is None:
            return
        now_ns = self._clock.now_ns()
        features = record.finish(now_ns)
        result = AttemptResult(features.attempt, now_ns, is_placed)
        self._peers.guardian.expect_judgement(features.attempt, now_ns)
        self._questions.append((self._subject, features, result))
        self._asked.set()

    def note_stop(
        self, cause: Cause, take_shadow: Callable[[], Proposal | NoProposal | None]
    ) -> None:
        """Judge the present attempt as failed where it brought its end about itself.

        Args:
            cause: of the stop, or of its being given up. One from outside says
                nothing of the grasp.
            take_shadow: returns the answer to the question in shadow, if it is there.
        """
        if self._record is None or not is_own_doing(cause, self._motion):
            return
        if self._awaits_shadow:
            self.note_shadow(take_shadow())
        if cause is not Cause.PLACE_NOT_CONFIRMED:
            self.rate.note_stop()
        self.end_attempt(is_placed=False)

    def drop_attempt(self) -> None:
        """Forget the present attempt: it was cut short, and says nothing."""
        self.rate.end()
        self._plan = self._record = self._phase = None
        self._has_claim = self._awaits_shadow = False

    # --- the turns of the decision loop -----------------------------------------------

    def look(self) -> None:
        """Take a sample, see whether the network is there, and tell what changed."""
        self._sample()
        peers = self._peers
        if peers is None or peers.guardian is None:
            return
        self._follow_subject(peers, peers.guardian)
        is_ready = peers.network.is_ready()
        if is_ready and self._subject:
            peers.guardian.begin(self._memory)
        elif not is_ready and self._was_ready:
            peers.guardian.note_network_lost()
        self._was_ready = is_ready
        person = peers.take_release()
        if person:
            granted = peers.guardian.release(person, self._clock.now_ns())
            self._record_event("guardian_release", {"by": person, "granted": granted})
        peers.guardian.permits_learned(self._clock.now_ns())
        self._follow(peers.guardian)

    async def run(self) -> None:
        """Ask the network; ends by cancellation."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._questions:
                self._is_asking = True
                subject, features, result = self._questions.popleft()
                try:
                    await self._judge(subject, features, result)
                finally:
                    self._is_asking = False

    async def _judge(
        self, subject: str, features: AttemptFeatures, result: AttemptResult
    ) -> None:
        peers = self._peers
        if peers is None or peers.guardian is None:
            return
        try:
            judgement = await peers.network.judge(features)
        except PolicyTimeoutError:
            # The Guardian's own patience ends with this; it says so itself.
            pass
        except (PolicyError, DriverError) as error:
            self._record_event("guardian_failed", {"why": str(error)})
            peers.guardian.note_network_lost()
        else:
            if subject != self._subject:
                # Of a model that was replaced meanwhile.
                return
            now_ns = self._clock.now_ns()
            peers.guardian.note_attempt(judgement, result, now_ns)
            self._record_event(
                "judged",
                {
                    "attempt": result.attempt,
                    "placed": result.is_placed,
                    "next_success": judgement.next_success,
                    "silent_failure": judgement.silent_failure,
                    "novelty": judgement.novelty,
                },
            )
        self._follow(peers.guardian)

    def _follow_subject(self, peers: GuardianPeers, guardian: Guardian) -> None:
        """Begin anew where the worker runs another model than it did before."""
        running = self._policy.model_sha256()
        if not running or running == self._subject:
            return
        self._subject = running
        guardian.forget()
        self.drop_attempt()
        self._questions.clear()
        self._known = ("", "")
        self._memory = self._history.recall(
            running, trusts_new_model=peers.trusts_new_model
        )
        self._history.keep(running, self._memory)
        self._record_event(
            "guardian_subject",
            {"model": self._policy.model_name(), "sha256": running},
        )

    def _follow(self, guardian: Guardian) -> None:
        """Keep what the next life needs; say what changed, once."""
        memory = guardian.remember()
        if memory is not None:
            self._history.keep(self._subject, memory)
        view = guardian.view()
        if (view.trust, view.doubt) == self._known:
            return
        before, self._known = self._known[0], (view.trust, view.doubt)
        if memory is None:
            return
        self.falls += before == "trusted"
        fields: dict[str, object] = {"from": before, "to": view.trust}
        if view.doubt:
            fields["why"] = view.doubt
        self._record_event("guardian", fields)

    def _sample(self) -> None:
        record, phase = self._record, self._phase
        arm, fingers = self._motion.state, self._gripper.state
        if record is not None and phase is not None and arm and fingers:
            record.note(phase, arm.force_tcp_n, fingers.aperture_m)

    def _is_comparable(self, outcome: Proposal | NoProposal | None) -> bool:
        """Say whether an outcome tells anything of the learned policy."""
        if outcome is None or isinstance(outcome, NoProposal):
            return outcome is not None and outcome.cause is Cause.POLICY_OUTPUT_INVALID
        if outcome.model_sha256 != self._subject:
            return False
        answer = outcome.answer
        latest_ns = self._begun_ns + ns_from_s(_SHADOW_FRAME_S)
        is_blind = isinstance(answer, Abstain) and answer.is_blind
        return not is_blind and answer.observed_stamp_ns <= latest_ns

    # --- what is told -----------------------------------------------------------------

    def explain_fallback(self) -> str:
        """Return why the learned policy may not act, for an alarm; empty when it may.

        A Guardian whose model cannot be used has an alarm of its own, and so has a
        worker without a learned model.
        """
        peers = self._peers
        if peers is None or peers.guardian is None or self.permits_learned():
            return ""
        if not self._policy.has_learned():
            return ""
        if peers.guardian.remember() is None:
            waited_ns = self._clock.now_ns() - self._started_ns
            return _NOT_THERE if waited_ns > ns_from_s(_START_PATIENCE_S) else ""
        view = peers.guardian.view()
        return f"{view.doubt}; {_RELEASE}" if view.awaits_release else view.doubt

    def describe(self) -> dict[str, Any]:
        """Return the entries for the status."""
        return {**self._history.describe(), "guardian": self._describe()}

    def _describe(self) -> dict[str, Any]:
        fallback = self._policy.fallback_name()
        is_fallback = self.is_fallback()
        in_charge = fallback if is_fallback else self._policy.model_name()
        entries: dict[str, Any] = {"in_charge": in_charge, "is_fallback": is_fallback}
        entries |= self.novelty.describe()
        peers, novel = self._peers, self.novelty.explain()
        if peers is None:
            return {**entries, "trust": "not needed", "why": novel}
        if peers.guardian is None:
            return {**entries, "trust": "fallback", "why": "its model cannot be used"}
        view: GuardianView = peers.guardian.view()
        is_absent = is_fallback and not self._policy.has_learned()
        why = "no learned model is loaded" if is_absent else view.doubt or novel
        return {
            **entries,
            "trust": view.trust,
            "why": why,
            "shadow_attempts": view.shadow_attempts,
            "shadow_needed": view.shadow_needed,
            "shadow_looks": self.looks,
            "shadow_agreements": self.agreements,
            **self.rate.describe(),
            "awaits_release": view.awaits_release,
            "released_by": view.released_by,
            "falls": self.falls,
            "falls_since_release": view.falls,
            "falls_max": view.falls_max,
        }
