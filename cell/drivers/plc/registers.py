"""The register map between the cell and the line PLC, as data.

Both blocks are holding registers of the PLC and lie side by side, so that one FC3
request reads the PLC's block and our own block back, from one instant. Each block
opens with a known integer and ends with a known float: together they tell a swapped
word order from a shifted map. Inside a block results come before the flags that
announce them, and a sequence number stands at either end.

Addresses are zero-based; the number in PLC manuals is `Register.manual_number`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

WordOrder = Literal["big", "little"]
"""Which word of a 32-bit value comes first; bytes in a word are always big-endian."""

INTERFACE_VERSION: Final = 1
MAGIC_HEAD: Final = 0x01020304
MAGIC_TAIL: Final = 1.5
BLOCK_WORDS: Final = 32


class Block(StrEnum):
    """Who writes a block."""

    PLC_TO_CELL = "plc_to_cell"
    CELL_TO_PLC = "cell_to_plc"


class RegisterType(StrEnum):
    """How a value lies in its words."""

    BOOL = "bool"
    U16 = "u16"
    U32 = "u32"
    F32 = "f32"


BLOCK_START: Final = {Block.PLC_TO_CELL: 0, Block.CELL_TO_PLC: BLOCK_WORDS}
IMAGE_WORDS: Final = 2 * BLOCK_WORDS
"""Both blocks; below the 125 registers that one FC3 request may read."""


@dataclass(frozen=True)
class Register:
    """One entry of the map.

    Attributes:
        name: of the field in `PlcInputs` or `PlcOutputs`, or of a protocol field.
        block: who writes it.
        address: zero-based address of the first word.
        type: how it lies in its words.
        description: for the integrator.
        bit: bit number in the word, 0 is the least significant; BOOL only.
        scale: engineering value of one count.
        unit: of the engineering value, empty when it has none.
        maximum: largest engineering value accepted.
        constant: value it always holds.
    """

    name: str
    block: Block
    address: int
    type: RegisterType
    description: str
    bit: int | None = None
    scale: float = 1.0
    unit: str = ""
    maximum: float | None = None
    constant: float | None = None

    @property
    def words(self) -> int:
        """Return how many registers it takes."""
        return 2 if self.type in (RegisterType.U32, RegisterType.F32) else 1

    @property
    def manual_number(self) -> int:
        """Return the 4xxxx number that PLC manuals use."""
        return 40001 + self.address

    @property
    def offset(self) -> int:
        """Return the position of the first word in its block."""
        return self.address - BLOCK_START[self.block]


_FLAGS_OFFSET = 28


def _frame_registers(block: Block, writer: str, reader: str) -> tuple[Register, ...]:
    """Return the fields that both blocks have, at the same places."""
    start = BLOCK_START[block]
    return (
        Register(
            "magic_head",
            block,
            start,
            RegisterType.U32,
            "Always 16#01020304. Tells word order and a shifted map.",
            constant=MAGIC_HEAD,
        ),
        Register(
            "interface_version",
            block,
            start + 2,
            RegisterType.U16,
            "Version of this map. The cell refuses another one.",
            constant=INTERFACE_VERSION,
        ),
        Register(
            "sequence_head",
            block,
            start + 3,
            RegisterType.U16,
            "Raised with every update; differs from sequence_tail in a torn block.",
        ),
        Register(
            "heartbeat",
            block,
            start + 4,
            RegisterType.U16,
            f"Counter of the {writer}; must rise at least every 100 ms; wraps.",
        ),
        Register(
            "heartbeat_echo",
            block,
            start + 5,
            RegisterType.U16,
            f"Heartbeat of the {reader} as the {writer} last read it.",
        ),
        Register(
            "data_valid",
            block,
            start + _FLAGS_OFFSET,
            RegisterType.BOOL,
            f"The {writer} vouches for this block. 0: use nothing of it.",
            bit=0,
        ),
        Register(
            "sequence_tail",
            block,
            start + 29,
            RegisterType.U16,
            "Same as sequence_head; written last.",
        ),
        Register(
            "magic_tail",
            block,
            start + 30,
            RegisterType.F32,
            "Always 1.5. Tells word order and a shifted map.",
            constant=MAGIC_TAIL,
        ),
    )


def _word(
    name: str, block: Block, offset: int, kind: RegisterType, description: str
) -> Register:
    return Register(name, block, BLOCK_START[block] + offset, kind, description)


def _flags(block: Block, names: tuple[tuple[str, str], ...]) -> tuple[Register, ...]:
    address = BLOCK_START[block] + _FLAGS_OFFSET
    return tuple(
        Register(name, block, address, RegisterType.BOOL, description, bit=bit)
        for bit, (name, description) in enumerate(names, start=1)
    )


_IN = Block.PLC_TO_CELL
_OUT = Block.CELL_TO_PLC

_PLC_TO_CELL = (
    _word(
        "boot_id",
        _IN,
        6,
        RegisterType.U32,
        "Another number after every start of the PLC.",
    ),
    _word(
        "unit_mode",
        _IN,
        8,
        RegisterType.U16,
        "Wanted PackML mode: 1 Production, 2 Maintenance, 3 Manual.",
    ),
    _word(
        "command",
        _IN,
        9,
        RegisterType.U16,
        "PackML CntrlCmd: 1 Reset, 2 Start, 3 Stop, 4 Hold, 5 Unhold, 6 Suspend,"
        " 7 Unsuspend, 8 Abort, 9 Clear, 10 Complete.",
    ),
    Register(
        "speed_limit_ratio",
        _IN,
        BLOCK_START[_IN] + 10,
        RegisterType.U16,
        "The cell never runs faster than this share of its configured speed.",
        scale=0.001,
        unit="ratio",
        maximum=1.0,
    ),
    _word(
        "person_id",
        _IN,
        11,
        RegisterType.U16,
        "Number of the person logged in at the line; stands in the record beside"
        " fault_ack and commands. 0 is nobody: then fault_ack counts for nothing.",
    ),
    *_flags(
        _IN,
        (
            ("unit_mode_request", "Strobe for unit_mode; taken once per rising edge."),
            (
                "command_request",
                "Strobe for command; hold it until command_ack = command.",
            ),
            ("bin_present", "Parts are in place for picking."),
            ("outfeed_clear", "The next part may be placed."),
            ("zone_permit", "The arm may enter the zone over the bin."),
            ("fault_ack", "A person acknowledged the present fault; rising edge."),
            ("part_taken", "Answer to part_done; falls after part_done fell."),
        ),
    ),
)

_CELL_TO_PLC = (
    _word("unit_mode", _OUT, 6, RegisterType.U16, "Current PackML mode."),
    _word(
        "state",
        _OUT,
        7,
        RegisterType.U16,
        "Current PackML state (ISA-TR88.00.02-2022): 1 Clearing, 2 Stopped, 3 Starting,"
        " 4 Idle, 5 Suspended, 6 Execute, 7 Stopping, 8 Aborting, 9 Aborted,"
        " 10 Holding, 11 Held, 12 Unholding, 13 Suspending, 14 Unsuspending,"
        " 15 Resetting, 16 Completing, 17 Completed.",
    ),
    _word(
        "state_requested",
        _OUT,
        8,
        RegisterType.U16,
        "State being moved to, or the current one.",
    ),
    _word(
        "command_ack",
        _OUT,
        9,
        RegisterType.U16,
        "Command last accepted; 0 after command_request fell.",
    ),
    _word(
        "fault_code",
        _OUT,
        10,
        RegisterType.U16,
        "First cause, or an alarm that stops nothing; 0 when none.",
    ),
    _word(
        "good_count",
        _OUT,
        12,
        RegisterType.U32,
        "Parts placed since first start; free running.",
    ),
    _word("reject_count", _OUT, 14, RegisterType.U32, "Parts lost or misplaced."),
    _word("attempt_count", _OUT, 16, RegisterType.U32, "Grasps tried."),
    _word(
        "model_id",
        _OUT,
        18,
        RegisterType.U32,
        "First 32 bits of the digest of the live model.",
    ),
    *_flags(
        _OUT,
        (
            ("ready", "Every permissive of the cell is met."),
            ("busy", "A cycle is under way."),
            ("part_done", "One part lies in the outfeed; falls after part_taken."),
            ("in_bin_zone", "The arm is over the bin."),
            (
                "clear_of_bin_zone",
                "Opposite of in_bin_zone: the bin may be moved only while this is 1.",
            ),
            ("holding_part", "The gripper holds something."),
            ("starved", "Waiting for parts."),
            ("blocked", "Waiting for the outfeed."),
            ("refill_request", "The bin holds nothing worth trying."),
            ("slow_down_request", "The cell asks the line to slow down."),
            (
                "fallback_policy",
                "The fallback policy picks in place of the learned one; no fault.",
            ),
        ),
    ),
)


def _sorted(registers: tuple[Register, ...]) -> tuple[Register, ...]:
    return tuple(sorted(registers, key=lambda entry: (entry.address, entry.bit or 0)))


REGISTERS: Final[dict[Block, tuple[Register, ...]]] = {
    _IN: _sorted((*_frame_registers(_IN, "PLC", "cell"), *_PLC_TO_CELL)),
    _OUT: _sorted((*_frame_registers(_OUT, "cell", "PLC"), *_CELL_TO_PLC)),
}
"""The whole map, in the order of addresses and bits."""
