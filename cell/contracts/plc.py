"""What the line PLC and the cell tell each other, in engineering terms."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlcInputs:
    """The PLC's block as read in one request; see the register map for addresses.

    Attributes:
        stamp_ns: our monotonic clock when the request was sent.
        heartbeat: the PLC's own counter.
        heartbeat_echo: our counter as the PLC last saw it.
        boot_id: changes when the PLC restarts.
        unit_mode: requested PackML mode.
        unit_mode_request: strobe for `unit_mode`.
        command: requested PackML command.
        command_request: strobe for `command`.
        bin_present: parts are in place for picking.
        outfeed_clear: the next part may be placed.
        zone_permit: the arm may enter the shared zone.
        fault_ack: a person acknowledged the present fault.
        person_id: who is logged in at the line, 0 for nobody.
        part_taken: four-phase handshake, answer to `PlcOutputs.part_done`.
        speed_limit_ratio: 0..1; the cell never runs faster.
    """

    stamp_ns: int
    heartbeat: int
    heartbeat_echo: int
    boot_id: int
    unit_mode: int
    unit_mode_request: bool
    command: int
    command_request: bool
    bin_present: bool
    outfeed_clear: bool
    zone_permit: bool
    fault_ack: bool
    person_id: int
    part_taken: bool
    speed_limit_ratio: float


@dataclass(frozen=True)
class PlcOutputs:
    """The cell's block as written in one request.

    Attributes:
        heartbeat: produced by the supervisor's decision loop, never by a timer.
        heartbeat_echo: the PLC's counter as last read.
        unit_mode: current PackML mode.
        state: current PackML state number.
        state_requested: state being moved to, or `state`.
        command_ack: PackML command last accepted, 0 after the strobe fell.
        ready: permissives met.
        busy: a cycle is under way.
        part_done: four-phase handshake, one part lies in the outfeed.
        in_bin_zone: the arm is over the bin; the PLC must not move it.
        holding_part: the gripper holds something.
        starved: waiting for parts.
        blocked: waiting for the outfeed.
        refill_request: the bin holds nothing worth trying.
        slow_down_request: the cell asks the line to slow down.
        fallback_policy: the scripted policy picks in place of the learned one.
        fault_code: `FaultCode` of the first cause, 0 when none.
        good_count: parts placed since first start, free running.
        reject_count: parts lost or misplaced.
        attempt_count: grasps tried.
        model_id: first 32 bits of the live model's digest.
    """

    heartbeat: int = 0
    heartbeat_echo: int = 0
    unit_mode: int = 1
    state: int = 2
    state_requested: int = 2
    command_ack: int = 0
    ready: bool = False
    busy: bool = False
    part_done: bool = False
    in_bin_zone: bool = False
    holding_part: bool = False
    starved: bool = False
    blocked: bool = False
    refill_request: bool = False
    slow_down_request: bool = False
    fallback_policy: bool = False
    fault_code: int = 0
    good_count: int = 0
    reject_count: int = 0
    attempt_count: int = 0
    model_id: int = 0
