"""Closed-form kinematics of the virtual UR5e against the published DH chain."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim2real.virtual_cell.ur.frames import (
    IDENTITY,
    compose,
    compute_pose,
    invert,
    make_frame,
)
from sim2real.virtual_cell.ur.kinematics import (
    compute_flange,
    compute_joints,
    compute_tcp_speed,
)

A = (0.0, -0.425, -0.3922, 0.0, 0.0, 0.0)
D = (0.1625, 0.0, 0.0, 0.1333, 0.0997, 0.0996)
ALPHA = (math.pi / 2, 0.0, 0.0, math.pi / 2, -math.pi / 2, 0.0)

angles = st.floats(-3.1, 3.1)
joints = st.tuples(angles, angles, angles, angles, angles, angles)


def chain(q: tuple[float, ...]) -> np.ndarray:
    matrix = np.eye(4)
    for angle, a, d, alpha in zip(q, A, D, ALPHA, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
        link = [
            [c, -s * ca, s * sa, a * c],
            [s, c * ca, -c * sa, a * s],
            [0.0, sa, ca, d],
            [0.0, 0.0, 0.0, 1.0],
        ]
        matrix = matrix @ np.array(link)
    return matrix


@given(joints)
def test_the_flange_is_where_the_dh_chain_puts_it(q: tuple[float, ...]) -> None:
    flange, expected = compute_flange(q), chain(q)

    assert np.allclose(np.array(flange.axes).T, expected[:3, :3], atol=1e-12)
    assert np.allclose(flange.origin, expected[:3, 3], atol=1e-12)


@given(joints)
def test_every_inverse_solution_leads_back_to_its_pose(q: tuple[float, ...]) -> None:
    flange = compute_flange(q)

    solution = compute_joints(flange, q)

    assert solution is not None
    found = compute_flange(solution)
    assert np.allclose(found.axes, flange.axes, atol=1e-5)
    assert np.allclose(found.origin, flange.origin, atol=1e-5)


@given(joints)
def test_the_inverse_near_a_regular_position_is_that_position(
    q: tuple[float, ...],
) -> None:
    if min(abs(math.sin(q[4])), abs(math.sin(q[2]))) < 0.05:
        return
    wrist_radius = math.hypot(*compute_flange(q).origin[:2])
    if wrist_radius < 0.3:
        return

    solution = compute_joints(compute_flange(q), q)

    assert solution is not None
    assert np.allclose(solution, q, atol=1e-6)


def test_a_pose_out_of_reach_has_no_solution() -> None:
    far = make_frame((2.0, 0.0, 0.3, 0.0, 0.0, 0.0))

    assert compute_joints(far, (0.0,) * 6) is None


@given(joints)
def test_a_pose_survives_the_way_to_numbers_and_back(q: tuple[float, ...]) -> None:
    flange = compute_flange(q)

    back = make_frame(compute_pose(flange))

    assert np.allclose(back.axes, flange.axes, atol=1e-9)


@given(joints)
def test_a_transform_and_its_inverse_cancel(q: tuple[float, ...]) -> None:
    flange = compute_flange(q)

    unit = compose(flange, invert(flange))

    assert np.allclose(unit.axes, IDENTITY.axes, atol=1e-12)
    assert np.allclose(unit.origin, 0.0, atol=1e-12)


@given(joints, joints)
def test_the_tool_speed_is_the_slope_of_the_tool_position(
    q: tuple[float, ...], qd: tuple[float, ...]
) -> None:
    step = 1e-6
    point = compute_flange(q).origin
    later = compute_flange(tuple(a + step * b for a, b in zip(q, qd, strict=True)))

    speed = compute_tcp_speed(q, qd, point)

    slope = (np.array(later.origin) - point) / step
    assert np.allclose(speed[:3], slope, atol=1e-4)
