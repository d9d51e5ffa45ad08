"""Finger openings and position counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.drivers.gripper.aperture import ApertureMap
from cell.drivers.gripper.robotiq_faults import describe_fault, is_blocking

MEASURED = ApertureMap(((3, 0.0852), (120, 0.041), (228, 0.0)))


def test_an_uncalibrated_gripper_is_linear() -> None:
    curve = ApertureMap.linear(0.085)

    assert [curve.aperture_m(n) for n in (0, 51, 255)] == pytest.approx(
        [0.085, 0.068, 0.0]
    )
    assert [curve.count(a) for a in (0.085, 0.068, 0.0)] == [0, 51, 255]


@given(count=st.integers(3, 228))
def test_counts_survive_the_way_there_and_back(count: int) -> None:
    assert MEASURED.count(MEASURED.aperture_m(count)) == count


@given(aperture_m=st.floats(-1.0, 1.0))
def test_openings_out_of_reach_become_the_nearest_count(aperture_m: float) -> None:
    assert 3 <= MEASURED.count(aperture_m) <= 228


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0.085),),
        ((0, 0.085), (0, 0.0)),
        ((0, 0.0), (255, 0.085)),
        ((0, 0.085), (100, 0.05), (255, 0.05)),
    ],
)
def test_a_curve_that_cannot_be_inverted_is_refused(
    points: tuple[tuple[int, float], ...],
) -> None:
    with pytest.raises(ValueError, match="falling openings"):
        ApertureMap(points)


@pytest.mark.parametrize(("fault", "blocks"), [(0, False), (9, False), (10, True)])
def test_major_faults_need_a_new_activation(fault: int, blocks: bool) -> None:
    assert is_blocking(fault) is blocks


def test_unknown_faults_keep_their_number() -> None:
    assert describe_fault(3) == "unknown fault (FLT 3)"
