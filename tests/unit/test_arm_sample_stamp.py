"""A sample is fresh when the robot's clock moved on, and only then."""

import math

import pytest

from cell.drivers.arm.sample_stamp import SampleStamp


def test_a_clock_that_moves_on_makes_every_sample_fresh() -> None:
    stamp = SampleStamp()

    assert [stamp.follow(t, n) for t, n in ((0.0, 10), (0.002, 12), (0.004, 14))] == [
        10,
        12,
        14,
    ]


def test_a_clock_that_stands_leaves_the_sample_as_old_as_it_is() -> None:
    stamp = SampleStamp()
    stamp.follow(5.0, 10)

    assert stamp.follow(5.0, 99) == 10


@pytest.mark.parametrize("strange_s", [4.998, 0.0, -1.0, math.nan, -math.inf])
def test_a_clock_that_goes_back_or_is_no_number_makes_nothing_fresh(
    strange_s: float,
) -> None:
    stamp = SampleStamp()
    stamp.follow(5.0, 10)

    assert stamp.follow(strange_s, 12) == 10
    assert stamp.follow(strange_s + 0.002, 14) == 10


def test_a_clock_that_never_said_anything_leaves_no_stamp() -> None:
    assert SampleStamp().follow(math.nan, 12) == 0
