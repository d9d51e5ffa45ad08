"""What the line logic sees and how it is set up; all values, no behaviour."""

from dataclasses import dataclass

from cell.contracts.plc import PlcOutputs

SCAN_PERIOD_S = 0.05


@dataclass(frozen=True)
class LineSettings:
    """How the line is set up.

    Attributes:
        parts_in_bin: parts the bin holds after a refill.
        refill_below: a refill is due below this many.
        autostart: whether Reset and Start are given once after boot.
        cell_timeout_s: the cell counts as lost when its heartbeat stands this long.
        zone_clear_s: how long the arm must stay out before the bin moves; longer
            than the cell may act on the permit it read last.
        settle_s: time the parts need to come to rest after a refill.
        refill_patience_s: a refill without effect is asked for again after this.
        refill_pause_s: shortest time between two refills.
        orphan_s: the belt takes parts that lie this long without being announced.
        strobe_s: a command that the cell does not accept is withdrawn after this.
        press_s: a press that cannot be put on the wire for so long is forgotten.
        retry_s: time between two tries of the automatic start.
        fault_ack_s: length of the acknowledge pulse.
        fault_ack_gap_s: least time between two pulses.
    """

    parts_in_bin: int
    refill_below: int
    autostart: bool
    cell_timeout_s: float = 0.6
    zone_clear_s: float = 0.3
    settle_s: float = 1.2
    refill_patience_s: float = 6.0
    refill_pause_s: float = 2.0
    orphan_s: float = 10.0
    strobe_s: float = 1.0
    press_s: float = 2.0
    retry_s: float = 2.0
    fault_ack_s: float = 0.5
    fault_ack_gap_s: float = 0.2


@dataclass(frozen=True)
class WorldCounts:
    """What the line's sensors see.

    Attributes:
        parts_in_bin: parts in the bin.
        parts_on_outfeed: parts on the outfeed plate.
        refills: refills done since the world began.
    """

    parts_in_bin: int
    parts_on_outfeed: int
    refills: int


@dataclass(frozen=True)
class LineSwitches:
    """Disturbances of the line that a test or an operator switches on.

    Attributes:
        freeze_heartbeat: the counter stands, answers go on.
        outfeed_blocked: the belt does not move and the plate counts as full.
        bin_empty: no parts, and none come.
        deny_zone: the arm may not enter.
        speed_limit_ratio: what the line allows, 0..1.
    """

    freeze_heartbeat: bool = False
    outfeed_blocked: bool = False
    bin_empty: bool = False
    deny_zone: bool = False
    speed_limit_ratio: float = 1.0


@dataclass(frozen=True)
class OperatorRequest:
    """What the person at the line panel pressed last.

    Attributes:
        request_id: a new number for every press.
        command: PackML command, 0 for none.
        fault_ack: acknowledge the present fault.
        person_id: who is logged in at the panel, 0 for nobody.
    """

    request_id: int = 0
    command: int = 0
    fault_ack: bool = False
    person_id: int = 0


@dataclass(frozen=True)
class LineSight:
    """Everything one scan sees.

    Attributes:
        outputs: the cell's block, None while it is missing, torn or not vouched for.
        counts: None while the world is silent.
        switches: disturbances in force.
        operator: last press.
        cell_is_fresh: the cell's heartbeat moves; set by the scan itself.
    """

    outputs: PlcOutputs | None
    counts: WorldCounts | None
    switches: LineSwitches = LineSwitches()
    operator: OperatorRequest = OperatorRequest()
    cell_is_fresh: bool = False

    @property
    def asks_for_slow(self) -> bool:
        """Whether the cell asks the line to slow down."""
        return self.outputs is not None and self.outputs.slow_down_request
