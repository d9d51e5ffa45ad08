"""Values to words and back, by the register map. Pure.

Vendor payload helpers are not used on purpose: their word and bit order has changed
between releases more than once. Golden vectors hold ours in place.
"""

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from cell.contracts.errors import DriverError, DriverStaleError, FaultCode
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.registers import (
    BLOCK_WORDS,
    INTERFACE_VERSION,
    MAGIC_HEAD,
    MAGIC_TAIL,
    REGISTERS,
    Block,
    Register,
    RegisterType,
    WordOrder,
)

Value = bool | int | float

_DEVICE = "plc"
_OTHER_ORDER: dict[WordOrder, WordOrder] = {"big": "little", "little": "big"}
_FRAME = ("magic_head", "interface_version", "magic_tail")


class PlcMapMismatchError(DriverError):
    """The PLC's registers do not follow our map."""

    code = FaultCode.PLC_MAP_MISMATCH


class WriteLostError(DriverError):
    """The PLC does not hold what was written to it and acknowledged."""

    code = FaultCode.PLC_WRITE_LOST


class TornBlockError(DriverError):
    """A block was read in the middle of its update."""


def encode_outputs(
    outputs: PlcOutputs, sequence: int, order: WordOrder, *, data_valid: bool = True
) -> list[int]:
    """Return the words of the cell's block."""
    return _encode_block(
        Block.CELL_TO_PLC,
        {**vars(outputs), "clear_of_bin_zone": not outputs.in_bin_zone},
        sequence,
        order,
        data_valid=data_valid,
    )


def encode_inputs(
    inputs: PlcInputs, sequence: int, order: WordOrder, *, data_valid: bool = True
) -> list[int]:
    """Return the words of the PLC's block, as a PLC would write them."""
    return _encode_block(
        Block.PLC_TO_CELL, vars(inputs), sequence, order, data_valid=data_valid
    )


def decode_inputs(words: Sequence[int], stamp_ns: int, order: WordOrder) -> PlcInputs:
    """Return what the PLC says.

    Args:
        words: the PLC's block, shape (BLOCK_WORDS,).
        stamp_ns: our monotonic clock when the request was sent.
        order: word order of 32-bit values.

    Raises:
        PlcMapMismatchError: constants are wrong, or a value is out of its range.
        TornBlockError: the block was read in the middle of an update.
        DriverStaleError: the PLC does not vouch for the block.
    """
    values = _decode_checked(Block.PLC_TO_CELL, words, order)
    return PlcInputs(
        stamp_ns=stamp_ns,
        heartbeat=int(values["heartbeat"]),
        heartbeat_echo=int(values["heartbeat_echo"]),
        boot_id=int(values["boot_id"]),
        unit_mode=int(values["unit_mode"]),
        unit_mode_request=bool(values["unit_mode_request"]),
        command=int(values["command"]),
        command_request=bool(values["command_request"]),
        bin_present=bool(values["bin_present"]),
        outfeed_clear=bool(values["outfeed_clear"]),
        zone_permit=bool(values["zone_permit"]),
        fault_ack=bool(values["fault_ack"]),
        person_id=int(values["person_id"]),
        part_taken=bool(values["part_taken"]),
        speed_limit_ratio=float(values["speed_limit_ratio"]),
    )


def decode_outputs(words: Sequence[int], order: WordOrder) -> PlcOutputs:
    """Return what the cell says, as a PLC would read it.

    Raises:
        PlcMapMismatchError: constants are wrong, or a value is out of its range.
        TornBlockError: the block was read in the middle of an update.
        DriverStaleError: the cell does not vouch for the block.
    """
    values = _decode_checked(Block.CELL_TO_PLC, words, order)
    if values["in_bin_zone"] == values["clear_of_bin_zone"]:
        raise PlcMapMismatchError(
            _DEVICE, "in_bin_zone and clear_of_bin_zone must be opposite"
        )
    # The register types give bool for bool and int for int, field by field.
    fields: dict[str, Any] = {
        field.name: values[field.name] for field in dataclasses.fields(PlcOutputs)
    }
    return PlcOutputs(**fields)


def check_frame(block: Block, words: Sequence[int], order: WordOrder) -> None:
    """Check length, constants and version of a block.

    Raises:
        PlcMapMismatchError: naming the register, what it holds and the likely cause.
    """
    if len(words) != BLOCK_WORDS:
        raise PlcMapMismatchError(
            _DEVICE, f"block {block} has {len(words)} registers, not {BLOCK_WORDS}"
        )
    named = {entry.name: entry for entry in REGISTERS[block]}
    for name in _FRAME:
        entry = named[name]
        value = _decode(entry, words, order)
        if value != entry.constant:
            raise PlcMapMismatchError(
                _DEVICE,
                f"{name} ({entry.manual_number}) of block {block} holds"
                f" {_show(value, entry)}, expected"
                f" {_show(entry.constant or 0, entry)}:"
                f" {_explain(name, value, words, order)}",
            )


def check_read_back(
    written: Sequence[int], read: Sequence[int], order: WordOrder
) -> None:
    """Compare our block as the PLC holds it with what was written.

    Raises:
        WriteLostError: naming the first register that differs.
    """
    if list(written) == list(read):
        return
    for entry in REGISTERS[Block.CELL_TO_PLC]:
        sent, found = _decode(entry, written, order), _decode(entry, read, order)
        if sent != found:
            break
    raise WriteLostError(
        _DEVICE,
        f"{entry.name} ({entry.manual_number}) reads back {found:g} after {sent:g} was"
        " written: the write was lost, or a second client writes our block",
    )


def _explain(name: str, value: Value, words: Sequence[int], order: WordOrder) -> str:
    """Return the likely cause of a wrong constant, for the person who wires it."""
    if name == "interface_version":
        return f"the PLC program was made for another map, ours is {INTERFACE_VERSION}"
    other = _OTHER_ORDER[order]
    head, tail = words[:2], words[-2:]
    if _join(head, other) == MAGIC_HEAD and _float(_join(tail, other)) == MAGIC_TAIL:
        return f"its word order is swapped, set plc.word_order to {other}"
    for shift in range(1, len(words) - 1):
        if _join(words[shift : shift + 2], order) == MAGIC_HEAD:
            return f"its map is shifted by {shift} register(s)"
    if _join(words[-3:-1], order) == _bits(MAGIC_TAIL):
        return "its map is shifted by -1 register"
    if not value:
        return "the PLC has not filled the block; is its program running?"
    return "compare the PLC program with `cellward registers`"


def _decode_checked(
    block: Block, words: Sequence[int], order: WordOrder
) -> dict[str, Value]:
    check_frame(block, words, order)
    values = {entry.name: _decode(entry, words, order) for entry in REGISTERS[block]}
    if values["sequence_head"] != values["sequence_tail"]:
        raise TornBlockError(
            _DEVICE,
            f"block {block} was read during its update: sequence_head"
            f" {values['sequence_head']}, sequence_tail {values['sequence_tail']}",
        )
    if not values["data_valid"]:
        raise DriverStaleError(_DEVICE, f"block {block} is marked not valid")
    for entry in REGISTERS[block]:
        if entry.maximum is not None and values[entry.name] > entry.maximum:
            raise PlcMapMismatchError(
                _DEVICE,
                f"{entry.name} ({entry.manual_number}) holds"
                f" {values[entry.name]:g} {entry.unit}, above {entry.maximum:g}",
            )
    return values


def _encode_block(
    block: Block,
    fields: Mapping[str, Value],
    sequence: int,
    order: WordOrder,
    *,
    data_valid: bool,
) -> list[int]:
    words = [0] * BLOCK_WORDS
    number = sequence & 0xFFFF
    values = {
        **fields,
        "sequence_head": number,
        "sequence_tail": number,
        "data_valid": data_valid,
    }
    for entry in REGISTERS[block]:
        constant = entry.constant
        value = values[entry.name] if constant is None else constant
        _encode_into(words, entry, value, order)
    return words


def _encode_into(
    words: list[int], entry: Register, value: Value, order: WordOrder
) -> None:
    offset = entry.offset
    match entry.type:
        case RegisterType.BOOL:
            words[offset] |= bool(value) << (entry.bit or 0)
        case RegisterType.U16:
            words[offset] = round(value / entry.scale) & 0xFFFF
        case RegisterType.U32:
            words[offset : offset + 2] = _split(round(value) & 0xFFFFFFFF, order)
        case RegisterType.F32:
            words[offset : offset + 2] = _split(_bits(float(value)), order)


def _decode(entry: Register, words: Sequence[int], order: WordOrder) -> Value:
    offset = entry.offset
    match entry.type:
        case RegisterType.BOOL:
            return bool(words[offset] >> (entry.bit or 0) & 1)
        case RegisterType.U16:
            count = words[offset]
            return count if entry.scale == 1.0 else count * entry.scale
        case RegisterType.U32:
            return _join(words[offset : offset + 2], order)
        case RegisterType.F32:
            return _float(_join(words[offset : offset + 2], order))


def _split(value: int, order: WordOrder) -> tuple[int, int]:
    high, low = value >> 16, value & 0xFFFF
    return (high, low) if order == "big" else (low, high)


def _join(words: Sequence[int], order: WordOrder) -> int:
    high, low = words if order == "big" else (words[1], words[0])
    return high << 16 | low


def _bits(value: float) -> int:
    return int(struct.unpack(">I", struct.pack(">f", value))[0])


def _float(bits: int) -> float:
    return float(struct.unpack(">f", struct.pack(">I", bits))[0])


def _show(value: Value, entry: Register) -> str:
    return f"16#{value:08X}" if entry.type is RegisterType.U32 else f"{value:g}"
