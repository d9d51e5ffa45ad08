"""Streams that stand still, and clocks that cannot be right."""

import math
from dataclasses import replace

import pytest

from cell.drivers.camera.stream_check import PairFacts, StreamCheck, StreamFault

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
    )


def test_a_stream_that_advances_is_fine_however_its_clock_drifts() -> None:
    check = StreamCheck()

    faults = {
        check.check(facts(n, device_time_s=n * PERIOD_S * 1.01)) for n in range(1, 5000)
    }

    assert faults == {StreamFault.NONE}


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


def test_five_equal_images_in_a_row_are_a_frozen_stream() -> None:
    check = StreamCheck()
    check.check(facts(1, digest=7))

    faults = [check.check(facts(n, digest=7)) for n in range(2, 7)]

    assert faults == [StreamFault.NONE] * 4 + [StreamFault.FROZEN]


def test_a_changed_image_starts_the_count_anew() -> None:
    check = StreamCheck()
    digests = [7, 7, 7, 7, 7, 8, 8, 8, 8, 8]

    faults = {check.check(facts(n, digest=d)) for n, d in enumerate(digests, start=1)}

    assert faults == {StreamFault.NONE}
