"""Puts together what the line, the terminal view and the next life are told."""

from dataclasses import dataclass, field
from typing import Any

from cell.contracts.plc import PlcOutputs
from cell.contracts.servo import ORDERED_HOLDS
from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause
from cell.supervisor.event_tail import EventTail
from cell.supervisor.interventions import SlowDown
from cell.supervisor.line_outputs import LineSignals, compute_outputs
from cell.supervisor.machine import Machine
from cell.supervisor.permissives import Unmet, describe_finding
from cell.supervisor.plc_exchange import PlcExchange
from cell.supervisor.ports import PolicyClient, StatusPort
from cell.supervisor.reaction_desk import ReactionDesk
from cell.supervisor.station import Station
from cell.supervisor.status import (
    describe_machine,
    dump,
    round_age,
)
from cell.supervisor.watch import Watch

_PERIOD_S = 0.2


@dataclass
class Publisher:
    """Sees everything, changes nothing.

    Attributes:
        machine: state and reason.
        station: arm, fingers, gate and counts.
        exchange: the line.
        watch: data ages and the zone.
        desk: what stands on the reaction ladder.
        policy: name of the live model.
        events: the last events.
        status: where the status goes.
        model_id: first 32 bits of the live model's digest.
        longest_gap_s: longest time between two turns of the decision loop [s].
        slow_down: what is asked of the line while the arm is held.
    """

    machine: Machine
    station: Station
    exchange: PlcExchange
    watch: Watch
    desk: ReactionDesk
    policy: PolicyClient
    events: EventTail
    status: StatusPort
    model_id: int
    longest_gap_s: float = 0.0
    slow_down: SlowDown = field(default_factory=SlowDown)
    _published_ns: int = 0
    _has_shown: bool = False

    def make_outputs(self, progress: int, unmet: tuple[Unmet, ...]) -> PlcOutputs:
        """Return our block for the line; `progress` counts turns of the decisions."""
        station, exchange = self.station, self.exchange
        signals = LineSignals(
            progress=progress,
            heartbeat_echo=exchange.heartbeat_echo,
            command_ack=exchange.command_ack,
            is_ready=not unmet,
            part_done=exchange.handshake.part_done,
            is_in_zone=self.watch.is_in_zone(),
            is_holding_part=self._is_holding_part(),
            obstacle=station.gate.obstacle,
            wants_refill=station.gate.wants_refill,
            wants_slow_line=self._wants_slow_line(),
            is_fallback=station.guardian.is_fallback(),
            model_id=self.model_id,
            alarm=next((alarm.cause for alarm in self.watch.alarms), None),
        )
        return compute_outputs(self.machine, station.statistics, signals)

    def note_confirmed(self, held: PlcOutputs) -> None:
        """Take note of a block that the line was read to hold."""
        self.slow_down.note_confirmed(held, self.station.clock.now_ns())

    def _is_holding_part(self) -> bool:
        """Say what the line may rely on: 0 only where the fingers are seen empty.

        What was gripped counts as held as long as the fingers do not show that it is
        gone. Where a person has taken it out they do, long before the next motion,
        which the line may give only then.
        """
        gripper = self.station.gripper
        may_hold = self.station.motion.carries_part and not gripper.shows_nothing()
        return gripper.holds_part() or may_hold

    def _wants_slow_line(self) -> bool:
        motion = self.station.motion
        is_ordered = motion.state and motion.state.hold_reason in ORDERED_HOLDS
        return self.slow_down.follow(
            motion.state,
            is_refused=motion.is_refused() and not is_ordered,
            now_ns=self.station.clock.now_ns(),
        )

    def publish_when_due(self, phase: str, unmet: tuple[Unmet, ...]) -> None:
        """Write the status at its rate."""
        now_ns = self.station.clock.now_ns()
        if now_ns - self._published_ns >= ns_from_s(_PERIOD_S):
            self.publish(phase, unmet)

    def publish(self, phase: str, unmet: tuple[Unmet, ...]) -> None:
        """Write the status now."""
        self._published_ns = self.station.clock.now_ns()
        self.status.write(dump(self._describe(phase, unmet)))
        if not self._has_shown:
            self._has_shown = True
            # From here on others see that this life is there, and in which state.
            self.events.add("status_shown", {"state": self.machine.state.name})

    def _describe(self, phase: str, unmet: tuple[Unmet, ...]) -> dict[str, Any]:
        station = self.station
        is_starved = station.gate.obstacle is Cause.STARVED
        return {
            "stamp_ns": self._published_ns,
            **describe_machine(self.machine, is_starved=is_starved),
            "ladder": self.desk.describe(),
            "permissives": [f"{entry.what}: {entry.remedy}" for entry in unmet],
            "alarms": [describe_finding(alarm) for alarm in self.watch.alarms],
            "phase": phase,
            "active_model": self.policy.model_name(),
            **station.guardian.describe(),
            **station.statistics.compute_figures(),
            **station.motion.interventions.compute_figures(),
            **self.slow_down.compute_figures(),
            "ages_s": {
                "arm": round_age(station.motion.arm_age_s()),
                "camera": round_age(self.watch.frame_age_s()),
                "plc": round_age(self.exchange.age_s()),
                "gripper": round_age(station.gripper.age_s()),
                "policy": round_age(station.desk.age_s()),
            },
            "decision_gap_s_max": round(self.longest_gap_s, 4),
            "events": self.events.lines(),
        }
