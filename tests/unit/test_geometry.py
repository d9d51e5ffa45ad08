"""Poses against SciPy's rotations, and what is made of what is no number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cell.contracts.geometry import Pose

TURNS = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3)


@given(TURNS)
def test_a_rotation_vector_turns_as_an_independent_library_says(
    turn: list[float],
) -> None:
    pose = Pose.from_rotvec([0.1, -0.2, 0.3], turn)

    w, x, y, z = pose.quat_wxyz
    both = Rotation.from_quat([x, y, z, w]) * Rotation.from_rotvec(turn).inv()
    assert both.magnitude() == pytest.approx(0.0, abs=1e-9)
    assert pose.position_m == pytest.approx([0.1, -0.2, 0.3])


@pytest.mark.parametrize("turn", [[0.0, 0.0, 0.0], [1e-13, 0.0, -1e-13]])
def test_next_to_no_turn_stays_next_to_none(turn: list[float]) -> None:
    quat = Pose.from_rotvec([0.0, 0.0, 0.0], turn).quat_wxyz

    assert quat == pytest.approx([1.0, *(0.5 * np.array(turn))], abs=1e-15)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e200 * 1e200])
def test_what_is_no_number_is_passed_on_as_none(odd: float) -> None:
    quat = Pose.from_rotvec([0.0, 0.0, 0.0], [0.1, odd, 0.0]).quat_wxyz

    assert np.isnan(quat).all()
