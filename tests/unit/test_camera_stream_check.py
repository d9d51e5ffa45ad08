"""Streams that stand still, and clocks that cannot be right."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cell.drivers.camera.stream_check import (
    PairFacts,
    StreamCheck,
    StreamFault,
    compute_changed_ratio,
)

PERIOD_S = 1 / 15


def facts(number: int, **changes: float) -> PairFacts:
    values = {
        "number": number,
        "device_time_s": 100.0 + number * PERIOD_S,
        "digest": number,
        "stamp_ns": round(number * PERIOD_S * 1e9),
    } | changes
    return PairFacts(
        number=int(values["number"]),
        device_time_s=values["device_time_s"],
        digest=int(values["digest"]),
        stamp_ns=int(values["stamp_ns"]),
        changed_ratio=values.get("changed_ratio", 1.0),
    )


def test_a_stream_that_advances_is_fine_however_its_clock_drifts() -> None:
    check = StreamCheck()

    faults = [
        check.check(facts(n, device_time_s=n * PERIOD_S * 1.01)) for n in range(1, 5000)
    ]

    assert faults[1:] == [StreamFault.NONE] * 4998


@pytest.mark.parametrize("number", [10, 9, 0])
def test_a_number_that_does_not_advance_is_a_repetition(number: int) -> None:
    check = StreamCheck()
    check.check(facts(10))

    assert check.check(replace(facts(11), number=number)) is StreamFault.REPEATED
    assert check.check(facts(12)) is StreamFault.NONE


@pytest.mark.parametrize("time_s", [1.6e9, 0.0, -1.0, math.nan, math.inf, 103.2])
def test_a_device_clock_that_jumps_is_refused(time_s: float) -> None:
    check = StreamCheck()
    check.check(facts(1))

    assert check.check(facts(2, device_time_s=time_s)) is StreamFault.CLOCK


@pytest.mark.parametrize("time_s", [-1.0, math.nan])
def test_a_first_clock_that_is_no_time_is_refused(time_s: float) -> None:
    assert StreamCheck().check(facts(1, device_time_s=time_s)) is StreamFault.CLOCK


def test_a_delivery_that_was_delayed_for_a_second_is_no_jump() -> None:
    check = StreamCheck()
    check.check(facts(1))

    assert check.check(facts(2, stamp_ns=1_200_000_000)) is StreamFault.NONE


def test_three_equal_images_in_a_row_are_a_frozen_stream() -> None:
    check = StreamCheck()

    faults = [check.check(facts(n, digest=7)) for n in range(1, 5)]

    assert faults == [StreamFault.STILL] * 2 + [StreamFault.FROZEN] * 2


def test_a_frozen_camera_that_is_opened_anew_gives_no_fresh_pair_either() -> None:
    faults = [
        check.check(facts(n, digest=7))
        for check in (StreamCheck(), StreamCheck())
        for n in range(1, 5)
    ]

    assert StreamFault.NONE not in faults


def test_a_changed_image_starts_the_count_anew() -> None:
    check = StreamCheck()
    digests = [7, 7, 8, 8, 9, 9]

    faults = [check.check(facts(n, digest=d)) for n, d in enumerate(digests, start=1)]

    still, good = StreamFault.STILL, StreamFault.NONE
    assert faults == [still, still, good, still, good, still]


@pytest.mark.parametrize(
    ("ratio", "fault"),
    [
        (0.019, StreamFault.FROZEN),
        (0.0, StreamFault.FROZEN),
        (math.nan, StreamFault.FROZEN),
        (0.02, StreamFault.NONE),
    ],
)
def test_images_without_the_noise_of_a_sensor_are_a_frozen_stream(
    ratio: float, fault: StreamFault
) -> None:
    check = StreamCheck()
    check.check(facts(1))
    check.check(facts(2, changed_ratio=ratio))

    assert check.check(facts(3, changed_ratio=ratio)) is fault


def test_a_device_clock_that_stands_while_images_change_is_refused() -> None:
    check = StreamCheck()

    faults = [check.check(facts(n, device_time_s=100.0)) for n in range(1, 5)]

    standing = StreamFault.STANDING
    assert faults == [StreamFault.STILL, StreamFault.NONE, standing, standing]


def test_two_pairs_of_one_moment_are_forgiven() -> None:
    check = StreamCheck()
    times_s = [100.0, 100.0, 100.1, 100.1, 100.2]

    faults = {
        check.check(facts(n, device_time_s=t)) for n, t in enumerate(times_s, start=1)
    }

    assert faults == {StreamFault.STILL, StreamFault.NONE}


def test_the_share_of_depth_that_changed_leaves_out_what_was_never_measured() -> None:
    before = np.array([[0, 0, 5], [5, 5, 5]], np.uint16)
    after = np.array([[0, 0, 5], [5, 6, 0]], np.uint16)

    assert compute_changed_ratio(before, after) == pytest.approx(2 / 4)


def test_a_first_image_or_one_of_another_size_counts_as_changed() -> None:
    image = np.ones((2, 3), np.uint16)

    assert compute_changed_ratio(None, image) == 1.0
    assert compute_changed_ratio(np.ones((3, 2), np.uint16), image) == 1.0


def test_an_image_without_any_depth_shows_no_noise() -> None:
    nothing = np.zeros((2, 3), np.uint16)

    assert compute_changed_ratio(nothing, nothing) == 0.0
