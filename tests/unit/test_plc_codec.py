"""Words and values, with vectors written down once and never computed."""

import dataclasses
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.errors import DriverError, DriverStaleError, FaultCode
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.codec import (
    PlcMapMismatchError,
    TornBlockError,
    check_read_back,
    decode_inputs,
    decode_outputs,
    encode_inputs,
    encode_outputs,
)
from cell.drivers.plc.registers import BLOCK_WORDS, WordOrder
from cell.drivers.plc.sim import make_line_inputs

ORDERS: tuple[WordOrder, ...] = get_args(WordOrder)
STAMP_NS = 7

INPUTS = PlcInputs(
    stamp_ns=STAMP_NS,
    heartbeat=0xFFFE,
    heartbeat_echo=3,
    boot_id=0xDEADBEEF,
    unit_mode=1,
    unit_mode_request=False,
    command=2,
    command_request=True,
    bin_present=True,
    outfeed_clear=False,
    zone_permit=True,
    fault_ack=False,
    person_id=4711,
    part_taken=True,
    speed_limit_ratio=0.25,
)
OUTPUTS = PlcOutputs(
    heartbeat=3,
    heartbeat_echo=0xFFFE,
    unit_mode=1,
    state=6,
    state_requested=6,
    command_ack=2,
    ready=True,
    busy=True,
    part_done=True,
    in_bin_zone=False,
    holding_part=False,
    refill_request=True,
    fault_code=220,
    good_count=70000,
    reject_count=1,
    attempt_count=70002,
    model_id=0x12345678,
)
# fmt: off
INPUTS_BIG = [
    0x0102, 0x0304, 1, 9, 0xFFFE, 3, 0xDEAD, 0xBEEF, 1, 2, 250, 4711, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0b1010_1101, 9, 0x3FC0, 0x0000,
]
INPUTS_LITTLE = [
    0x0304, 0x0102, 1, 9, 0xFFFE, 3, 0xBEEF, 0xDEAD, 1, 2, 250, 4711, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0b1010_1101, 9, 0x0000, 0x3FC0,
]
OUTPUTS_BIG = [
    0x0102, 0x0304, 1, 9, 3, 0xFFFE, 1, 6, 6, 2, 220, 0, 1, 4464, 0, 1,
    1, 4466, 0x1234, 0x5678, 0, 0, 0, 0, 0, 0, 0, 0, 0b10_0010_1111, 9, 0x3FC0, 0,
]
OUTPUTS_LITTLE = [
    0x0304, 0x0102, 1, 9, 3, 0xFFFE, 1, 6, 6, 2, 220, 0, 4464, 1, 1, 0,
    4466, 1, 0x5678, 0x1234, 0, 0, 0, 0, 0, 0, 0, 0, 0b10_0010_1111, 9, 0, 0x3FC0,
]
# fmt: on

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
WIDE = {"boot_id", "good_count", "reject_count", "attempt_count", "model_id"}


def values_of(kind: type) -> st.SearchStrategy[Any]:
    """Return a strategy for a block's dataclass, from its own fields."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        field.name: st.booleans()
        if field.type is bool
        else (U32 if field.name in WIDE else U16)
        for field in dataclasses.fields(kind)
    }
    if kind is PlcInputs:
        fields["stamp_ns"] = st.just(STAMP_NS)
        fields["speed_limit_ratio"] = st.integers(0, 1000).map(lambda n: n * 0.001)
    return st.builds(kind, **fields)


def swapped(order: WordOrder) -> WordOrder:
    return "little" if order == "big" else "big"


@pytest.mark.parametrize(
    ("order", "words"), [("big", INPUTS_BIG), ("little", INPUTS_LITTLE)]
)
def test_inputs_match_the_golden_words(order: WordOrder, words: list[int]) -> None:
    assert encode_inputs(INPUTS, 9, order) == words
    assert decode_inputs(words, STAMP_NS, order) == INPUTS


@pytest.mark.parametrize(
    ("order", "words"), [("big", OUTPUTS_BIG), ("little", OUTPUTS_LITTLE)]
)
def test_outputs_match_the_golden_words(order: WordOrder, words: list[int]) -> None:
    assert encode_outputs(OUTPUTS, 9, order) == words
    assert decode_outputs(words, order) == OUTPUTS


@given(inputs=values_of(PlcInputs), sequence=U16, order=st.sampled_from(ORDERS))
def test_any_inputs_survive_the_wire(
    inputs: PlcInputs, sequence: int, order: WordOrder
) -> None:
    words = encode_inputs(inputs, sequence, order)

    assert all(0 <= word <= 0xFFFF for word in words)
    assert decode_inputs(words, STAMP_NS, order) == inputs


@given(outputs=values_of(PlcOutputs), sequence=U16, order=st.sampled_from(ORDERS))
def test_any_outputs_survive_the_wire(
    outputs: PlcOutputs, sequence: int, order: WordOrder
) -> None:
    assert decode_outputs(encode_outputs(outputs, sequence, order), order) == outputs


@given(words=st.lists(U16, min_size=BLOCK_WORDS, max_size=BLOCK_WORDS))
def test_arbitrary_words_are_refused_with_a_driver_error(words: list[int]) -> None:
    with pytest.raises(DriverError):
        decode_inputs(words, STAMP_NS, "big")


@given(
    position=st.integers(0, BLOCK_WORDS - 1), value=U16, order=st.sampled_from(ORDERS)
)
def test_no_single_word_raises_the_speed_limit_above_one(
    position: int, value: int, order: WordOrder
) -> None:
    words = encode_inputs(make_line_inputs(), 1, order)
    words[position] = value

    try:
        inputs = decode_inputs(words, STAMP_NS, order)
    except DriverError:
        return
    assert 0.0 <= inputs.speed_limit_ratio <= 1.0


@pytest.mark.parametrize("order", ORDERS)
def test_a_swapped_word_order_is_named_with_its_remedy(order: WordOrder) -> None:
    words = encode_inputs(INPUTS, 9, swapped(order))

    with pytest.raises(PlcMapMismatchError) as caught:
        decode_inputs(words, STAMP_NS, order)

    assert f"set plc.word_order to {swapped(order)}" in str(caught.value)
    assert "magic_head (40001)" in str(caught.value)
    assert caught.value.code is FaultCode.PLC_MAP_MISMATCH


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        ([0, *INPUTS_BIG[:-1]], "shifted by 1 register"),
        ([0, 0, *INPUTS_BIG[:-2]], "shifted by 2 register"),
        ([*INPUTS_BIG[1:], 0], "shifted by -1 register"),
        ([0] * BLOCK_WORDS, "is its program running"),
        ([*INPUTS_BIG[:2], 7, *INPUTS_BIG[3:]], "interface_version (40003)"),
        ([*INPUTS_BIG[:-2], 1, 2], "magic_tail (40031)"),
        (INPUTS_BIG[:-1], "31 registers, not 32"),
        ([*INPUTS_BIG[:10], 1001, *INPUTS_BIG[11:]], "speed_limit_ratio (40011)"),
    ],
)
def test_a_foreign_map_is_refused_with_the_likely_cause(
    words: list[int], phrase: str
) -> None:
    with pytest.raises(PlcMapMismatchError) as caught:
        decode_inputs(words, STAMP_NS, "big")

    assert phrase in str(caught.value)


def test_different_sequence_numbers_mean_a_torn_block() -> None:
    words = INPUTS_BIG[:16] + encode_inputs(INPUTS, 10, "big")[16:]

    with pytest.raises(TornBlockError):
        decode_inputs(words, STAMP_NS, "big")


def test_a_block_nobody_vouches_for_is_refused() -> None:
    words = encode_inputs(INPUTS, 9, "big", data_valid=False)

    with pytest.raises(DriverStaleError):
        decode_inputs(words, STAMP_NS, "big")


@pytest.mark.parametrize("is_in_zone", [False, True])
def test_the_zone_is_published_in_both_senses(is_in_zone: bool) -> None:
    words = encode_outputs(replace(OUTPUTS, in_bin_zone=is_in_zone), 9, "big")
    assert (words[28] >> 4 & 1, words[28] >> 5 & 1) == (is_in_zone, not is_in_zone)

    words[28] ^= 1 << 5
    with pytest.raises(PlcMapMismatchError):
        decode_outputs(words, "big")


def test_a_lost_write_is_named_by_its_register() -> None:
    written = encode_outputs(OUTPUTS, 9, "big")
    read = encode_outputs(replace(OUTPUTS, slow_down_request=True), 9, "big")

    check_read_back(written, list(written), "big")
    with pytest.raises(DriverError, match="slow_down_request"):
        check_read_back(written, read, "big")
