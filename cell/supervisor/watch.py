"""Looks at all peers once a turn and puts what it sees into one picture."""

from collections.abc import Callable

from cell.contracts.units import s_from_ns
from cell.supervisor.conditions import Conditions, explain, find_alarms
from cell.supervisor.cycle_gate import LEAST_SPEED_RATIO
from cell.supervisor.decision import Finding
from cell.supervisor.plc_exchange import PlcExchange
from cell.supervisor.ports import Complaints, PolicyClient, ReadFrameStamp
from cell.supervisor.station import Station

_ARM_AGE_LIMIT_S = 0.5


class Watch:
    """Remembers just enough to see edges, and where the arm was seen last.

    Attributes:
        alarms: what a person should know although it need not stop the cell now.
    """

    def __init__(
        self,
        station: Station,
        exchange: PlcExchange,
        policy: PolicyClient,
        read_frame_stamp_ns: ReadFrameStamp,
        find_lost_process: Callable[[], str],
        find_given_up: Callable[[], str],
        complaints: Complaints,
    ) -> None:
        self.alarms: tuple[Finding, ...] = ()
        self._station = station
        self._exchange = exchange
        self._policy = policy
        self._read_frame_stamp_ns = read_frame_stamp_ns
        self._find_lost_process = find_lost_process
        self._find_given_up = find_given_up
        self._complaints = complaints
        self._newest: Conditions | None = None
        self._boots = 0
        self._losses = 0
        # Until the arm was seen, it may be anywhere.
        self._was_over_bin = True

    def read(self, *, has_stalled: bool = False) -> Conditions:
        """Return one picture."""
        motion, gripper = self._station.motion, self._station.gripper
        exchange = self._exchange
        has_restarted = exchange.boots != self._boots
        self._boots = exchange.boots
        # A loss counts even if it is over before anybody looked.
        is_line_valid = exchange.is_valid() and exchange.losses == self._losses
        self._losses = exchange.losses
        self._newest = now = Conditions(
            servo=motion.state,
            is_servo_fresh=motion.is_fresh(),
            is_servo_ready=motion.is_ready(),
            is_making_ready=self._station.gate.is_making_ready,
            is_plc_valid=is_line_valid,
            has_plc_restarted=has_restarted,
            is_map_mismatched=exchange.is_map_mismatched,
            plc_detail=exchange.detail,
            is_gripper_lost=gripper.is_lost(),
            is_gripper_faulty=gripper.is_faulty(),
            gripper_detail=gripper.detail,
            lost_process=self._find_lost_process(),
            given_up=self._find_given_up(),
            frame_age_s=self.frame_age_s(),
            is_policy_ready=self._policy.is_ready(),
            has_stalled=has_stalled,
            is_speed_zero=self._is_speed_zero(),
            lost_write=exchange.take_lost_write(),
            servo_complaint=self._complaints.read_servo(),
            camera_complaint=self._complaints.read_camera(),
            policy_complaint=self._complaints.read_policy(),
            guardian_complaint=self._complaints.read_guardian(),
            withdrawn=self._station.guardian.explain_fallback(),
            novel=self._station.guardian.novelty.explain(),
        )
        self.alarms = find_alarms(now)
        return now

    def explain(self, failure: Finding | None) -> Finding | None:
        """Return why an activity failed, in the words of whoever knows best."""
        return failure if self._newest is None else explain(failure, self._newest)

    def frame_age_s(self) -> float:
        """Return the age of the newest picture of the bin [s]."""
        stamp_ns = self._read_frame_stamp_ns()
        if stamp_ns is None:
            return float("inf")
        return s_from_ns(self._station.clock.now_ns() - stamp_ns)

    def is_in_zone(self) -> bool:
        """Say whether the arm is over the bin, or about to be.

        An arm that is not seen any more counts as where it was seen last.
        """
        motion = self._station.motion
        state = motion.state
        if state is not None and motion.arm_age_s() < _ARM_AGE_LIMIT_S:
            self._was_over_bin = self._station.planner.is_over_bin(state.base_from_tcp)
        return self._was_over_bin or self._station.gate.claims_zone

    def _is_speed_zero(self) -> bool:
        line = self._exchange.read_inputs()
        is_zero = line is not None and line.speed_limit_ratio < LEAST_SPEED_RATIO
        return is_zero and self._station.motion.is_moving()
