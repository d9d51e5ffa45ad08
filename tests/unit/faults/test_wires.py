"""What is changed on a wire is what the drivers read, and nothing beside it."""

import struct

import numpy as np

from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.codec import decode_inputs, encode_inputs, encode_outputs
from cell.drivers.plc.registers import BLOCK_START, BLOCK_WORDS, Block
from sim2real.faults.chaos_rule import Flow, Passage
from sim2real.faults.device_wire import (
    SPOILS,
    NearerPictures,
    RepeatedPicture,
    SpoiltPictures,
    StandingClock,
    StuckVariables,
    WideGrip,
    halve_pictures,
    is_pair,
)
from sim2real.faults.framing import PAIR
from sim2real.faults.line_wire import (
    BackwardHeartbeat,
    FrozenOwnHeartbeat,
    clear_transaction,
    raise_transaction,
    swallow_writes,
)
from sim2real.faults.robot_wire import RtdeTap, find_spans
from sim2real.virtual_cell.ur.rtde_wire import PackageType, make_package

INPUTS = PlcInputs(
    stamp_ns=0,
    heartbeat=5000,
    heartbeat_echo=7,
    boot_id=3,
    unit_mode=1,
    unit_mode_request=False,
    command=0,
    command_request=False,
    bin_present=True,
    outfeed_clear=True,
    zone_permit=True,
    fault_ack=False,
    person_id=0,
    part_taken=False,
    speed_limit_ratio=1.0,
)


def modbus(number: int, function: int, body: bytes) -> bytes:
    payload = bytes([1, function]) + body
    return struct.pack(">HHH", number, 0, len(payload)) + payload


def words(values: list[int]) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def answer(own_heartbeat: int = 9) -> bytes:
    image = encode_inputs(INPUTS, 1, "big")
    image += encode_outputs(PlcOutputs(heartbeat=own_heartbeat), 2, "big")
    return modbus(17, 3, bytes([2 * len(image)]) + words(image))


def request(heartbeat: int) -> bytes:
    block = encode_outputs(PlcOutputs(heartbeat=heartbeat), 2, "big")
    head = struct.pack(">HHB", BLOCK_START[Block.CELL_TO_PLC], len(block), 64)
    return modbus(18, 16, head + words(block))


def read_words(message: bytes, start: int, count: int) -> list[int]:
    return list(struct.unpack_from(f">{count}H", message, start))


def test_the_transaction_number_is_changed_and_nothing_else() -> None:
    message = answer()

    assert clear_transaction(message, 0).forward == b"\0\0" + message[2:]
    assert raise_transaction(message, 0).forward == b"\0\x12" + message[2:]


def test_a_swallowed_write_is_acknowledged_as_the_server_would() -> None:
    passage = swallow_writes(request(1), 0)

    assert passage.forward == b""
    assert passage.reply == modbus(18, 16, struct.pack(">HH", 32, BLOCK_WORDS))
    assert swallow_writes(answer(), 0) == Passage(answer())


def test_the_line_s_counter_goes_back_and_the_block_stays_whole() -> None:
    changed = BackwardHeartbeat()(answer(), 0).forward

    inputs = decode_inputs(read_words(changed, 9, BLOCK_WORDS), 0, "big")
    assert inputs.heartbeat == INPUTS.heartbeat - 100
    assert inputs.boot_id == INPUTS.boot_id


def test_our_counter_is_kept_from_the_line_and_read_back_as_written() -> None:
    frozen = FrozenOwnHeartbeat()

    first = frozen.to_line(request(40), 0).forward
    second = frozen.to_line(request(41), 0).forward
    read_back = frozen.to_cell(answer(own_heartbeat=40), 0).forward

    assert first == request(40)
    assert second == request(40)
    assert read_back == answer(own_heartbeat=41)


def set_up(tap: RtdeTap, *names: str) -> None:
    payload = struct.pack(">d", 500.0) + ",".join(names).encode()
    rule = tap.rule(Flow.TO_SERVER)
    assert rule.change is not None
    rule.change(make_package(PackageType.SETUP_OUTPUTS, payload), 0)


def from_robot(tap: RtdeTap, package: bytes) -> bytes:
    rule = tap.rule(Flow.TO_CLIENT)
    assert rule.change is not None
    return rule.change(package, 0).forward


def sample(time_s: float, mode: int) -> bytes:
    payload = b"\x01" + struct.pack(">di", time_s, mode)
    return make_package(PackageType.DATA, payload)


def test_a_frozen_value_stands_and_the_others_live() -> None:
    tap = RtdeTap()
    set_up(tap, "timestamp", "robot_mode")

    assert from_robot(tap, sample(1.0, 7)) == sample(1.0, 7)
    tap.freeze("timestamp")
    assert from_robot(tap, sample(2.0, 7)) == sample(2.0, 7)
    assert from_robot(tap, sample(3.0, 5)) == sample(2.0, 5)
    tap.freeze()
    assert from_robot(tap, sample(4.0, 5)) == sample(4.0, 5)


def test_packages_of_an_unknown_recipe_pass() -> None:
    tap = RtdeTap()
    set_up(tap, "no_such_value")
    tap.freeze("timestamp")

    assert from_robot(tap, sample(1.0, 7)) == sample(1.0, 7)
    assert find_spans(struct.pack(">d", 1.0) + b"robot_mode,what") == {
        "robot_mode": slice(4, 8)
    }


def test_the_tap_knows_when_the_last_setpoint_was_sent() -> None:
    tap = RtdeTap()
    rule = tap.rule(Flow.TO_SERVER)
    assert rule.change is not None
    assert tap.setpoint_ns == 0

    rule.change(sample(0.0, 0), 0)

    assert tap.setpoint_ns > 0


def test_the_gripper_s_variables_are_stuck_and_others_are_not() -> None:
    stuck = StuckVariables({"OBJ": "2"})

    assert stuck(b"OBJ 3\n", 0).forward == b"OBJ 2\n"
    assert stuck(b"POS 3\n", 0).forward == b"POS 3\n"
    assert stuck(b"ack", 0).forward == b"ack"


def pair(number: int, time_us: int, rgb: bytes, depth: bytes) -> bytes:
    header = PAIR.pack(0x52494150, number, time_us, len(rgb), len(depth))
    return header + rgb + depth


def test_a_repeated_picture_has_the_stamps_of_the_true_one() -> None:
    repeated = RepeatedPicture()

    assert repeated(pair(1, 10, b"aa", b"AA"), 0).forward == pair(1, 10, b"aa", b"AA")
    # Also on a connection that was opened anew.
    assert repeated(pair(2, 20, b"bb", b"BB"), 1).forward == pair(2, 20, b"aa", b"AA")


def test_a_standing_clock_leaves_number_and_picture_alone() -> None:
    clock = StandingClock()
    clock(pair(1, 10, b"aa", b"AA"), 0)

    assert clock(pair(2, 20, b"bb", b"BB"), 0).forward == pair(2, 10, b"bb", b"BB")


def test_of_a_halved_picture_the_lower_half_is_missing() -> None:
    assert halve_pictures(pair(1, 10, b"aa", b"AAAA"), 0).forward == (
        pair(1, 10, b"a\0", b"AA\0\0")
    )


def test_a_spoilt_stream_begins_with_the_first_picture_that_tells_of_it() -> None:
    for change in (RepeatedPicture(), StandingClock()):
        change(pair(1, 10, b"aa", b"AA"), 0)
        before_ns = change.begun_ns
        change(pair(2, 20, b"bb", b"BB"), 0)

        assert before_ns == 0
        assert change.begun_ns > 0


def test_a_greeting_is_no_pair() -> None:
    greeting = struct.pack("<8sI", b"CWFEED1\n", 60) + bytes(60)

    assert not is_pair(greeting)
    for change in (RepeatedPicture(), StandingClock(), halve_pictures):
        assert change(greeting, 0).forward == greeting


def test_pictures_are_spoilt_in_another_way_each() -> None:
    rng = np.random.default_rng(0)
    shape = (48, 64, 3)
    rgb = rng.integers(0, 255, shape, np.uint8)
    depth = rng.integers(1, 999, (48, 64), np.uint16)
    header = PAIR.pack(0x52494150, 1, 2, rgb.nbytes, depth.nbytes)
    message = header + rgb.tobytes() + depth.tobytes()
    spoil = SpoiltPictures(shape)

    images = []
    for _ in SPOILS:
        passage = spoil(message, 0)
        assert len(passage.forward) == len(message)
        colour = passage.forward[PAIR.size : PAIR.size + rgb.nbytes]
        images.append(np.frombuffer(colour, np.uint8).reshape(shape))

    light, soft, half = images
    assert light.min() == 255
    assert np.abs(np.diff(soft.astype(int), axis=1)).max() < 60
    assert soft.std() < 0.3 * rgb.std()
    assert not half[24:].any()
    assert (half[:24] == rgb[:24]).all()
    assert spoil(b"greeting", 0).forward == b"greeting"


def test_a_tap_notes_when_a_watched_value_changes() -> None:
    tap = RtdeTap()
    names = ["timestamp", "safety_status_bits"]
    request = struct.pack(">d", 500.0) + ",".join(names).encode()
    rule = tap.rule(Flow.TO_SERVER).change
    assert rule is not None
    rule(make_package(PackageType.SETUP_OUTPUTS, request), 0)
    look = tap.rule(Flow.TO_CLIENT).change
    assert look is not None

    def pass_package(bits: int) -> None:
        body = bytes([1]) + struct.pack(">dI", 1.0, bits)
        look(make_package(PackageType.DATA, body), 0)

    tap.watch("safety_status_bits")
    pass_package(1)
    pass_package(1)
    assert tap.changed_ns == 0
    pass_package(4)
    first_ns = tap.changed_ns
    assert first_ns > 0
    pass_package(1)
    assert tap.changed_ns == first_ns


def test_only_fingers_that_are_stopped_tell_another_width() -> None:
    change = WideGrip(15)

    def carry(*lines: bytes) -> bytes:
        return b"".join(change(line, 0).forward for line in lines)

    assert carry(b"POS 120\n", b"OBJ 2\n", b"STA 3\n") == b"POS 15\nOBJ 2\nSTA 3\n"
    assert carry(b"POS 120\n", b"OBJ 0\n") == b"POS 120\nOBJ 0\n"
    assert carry(b"POS 3\n", b"OBJ 3\n", b"ack") == b"POS 3\nOBJ 3\nack"


def test_everything_lies_nearer_but_what_has_no_depth() -> None:
    def depth(*steps: int) -> bytes:
        return np.array(steps, "<u2").tobytes()

    change = NearerPictures(60)

    sent = change(pair(1, 10, b"abc", depth(8000, 0, 60, 61)), 0).forward

    assert sent == pair(1, 10, b"abc", depth(7940, 0, 60, 1))
    assert change(b"CWFEED1\n", 0).forward == b"CWFEED1\n"
