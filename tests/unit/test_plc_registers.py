"""The register map is consistent in itself and with what the cell means by it."""

import dataclasses

import pytest

from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.registers import (
    BLOCK_START,
    BLOCK_WORDS,
    IMAGE_WORDS,
    REGISTERS,
    Block,
    Register,
    RegisterType,
)

_FRAME = {
    "magic_head",
    "interface_version",
    "sequence_head",
    "heartbeat",
    "heartbeat_echo",
    "data_valid",
    "sequence_tail",
    "magic_tail",
}
ALL = [entry for block in REGISTERS.values() for entry in block]


def cells_of(entry: Register) -> set[tuple[int, int]]:
    """Return the bits that a register occupies, as (address, bit)."""
    if entry.bit is not None:
        return {(entry.address, entry.bit)}
    return {(entry.address + i, bit) for i in range(entry.words) for bit in range(16)}


def test_no_two_registers_share_a_bit() -> None:
    taken: set[tuple[int, int]] = set()
    for entry in ALL:
        assert not taken & cells_of(entry), entry.name
        taken |= cells_of(entry)


@pytest.mark.parametrize("entry", ALL, ids=lambda e: f"{e.block}-{e.name}")
def test_every_register_lies_in_its_block(entry: Register) -> None:
    assert 0 <= entry.offset <= BLOCK_WORDS - entry.words


def test_one_read_request_can_hold_both_blocks() -> None:
    assert max(BLOCK_START.values()) + BLOCK_WORDS == IMAGE_WORDS <= 125


@pytest.mark.parametrize(
    ("block", "fields", "extra"),
    [
        (Block.PLC_TO_CELL, PlcInputs, {"stamp_ns"}),
        (Block.CELL_TO_PLC, PlcOutputs, set()),
    ],
)
def test_the_map_carries_every_field_and_nothing_unknown(
    block: Block, fields: type, extra: set[str]
) -> None:
    names = {entry.name for entry in REGISTERS[block]}
    wanted = {field.name for field in dataclasses.fields(fields)} - extra

    assert wanted <= names
    assert names - wanted <= _FRAME | {"clear_of_bin_zone"}


@pytest.mark.parametrize("block", Block)
def test_results_lie_before_the_flags_that_announce_them(block: Block) -> None:
    flags = {e.address for e in REGISTERS[block] if e.type is RegisterType.BOOL}
    ends = {"sequence_tail", "magic_tail"}
    results = [
        e.address
        for e in REGISTERS[block]
        if e.type is not RegisterType.BOOL and e.name not in ends
    ]

    assert max(results) < min(flags)
    assert max(flags) < min(e.address for e in REGISTERS[block] if e.name in ends)


def test_wide_values_start_at_even_addresses() -> None:
    assert all(entry.address % 2 == 0 for entry in ALL if entry.words == 2)


def test_the_manual_number_of_the_first_register_is_40001() -> None:
    assert REGISTERS[Block.PLC_TO_CELL][0].manual_number == 40001
    assert REGISTERS[Block.CELL_TO_PLC][0].manual_number == 40033
