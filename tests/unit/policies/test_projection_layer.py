"""Gradients of the projection layers, and that a policy can learn from them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cell.kinematics import compute_base_from_tcp
from policies.training.kinematics import (
    compute_pose_error,
    compute_smallest_singular_value,
    compute_tool,
    solve_positive,
)
from policies.training.projection import (
    IK_DAMPING,
    IncrementProjection,
    PoseProjection,
    ProjectionLimits,
)
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, PERIOD_S
from tests.fakes.projection_cases import (
    JERK_RADPS3,
    QUICK_JERK_RADPS3,
    TOOL,
    make_packed,
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def make_increments(
    jerk: float | None = None, *, straight: bool = False
) -> IncrementProjection:
    limits = ProjectionLimits.from_packed(make_packed(jerk))
    return IncrementProjection(limits, straight=straight)


def make_poses() -> PoseProjection:
    return PoseProjection(ProjectionLimits.from_packed(make_packed()))


def tensor_of(numbers: Any, *, requires_grad: bool = False) -> Tensor:
    tensor = torch.tensor(np.array(numbers), dtype=torch.float64)
    return tensor.requires_grad_(requires_grad)


def gradient_of(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def transform_of(q: Any) -> np.ndarray:
    return np.asarray(compute_base_from_tcp(np.array(q), TOOL).as_matrix()[:3])


def turned(rotvec: Tensor, place: Tensor, base: Tensor) -> Tensor:
    """Return base turned by exp(rotvec) and moved, so that gradients stay in SE(3)."""
    zero = torch.zeros_like(rotvec[..., 0])
    x, y, z = rotvec.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(
        *rotvec.shape[:-1], 3, 3
    )
    rotation = torch.linalg.matrix_exp(skew) @ base[..., :3]
    return torch.cat([rotation, (base[..., 3] + place)[..., None]], -1)


# --- gradients of increments ---------------------------------------------------------


@pytest.mark.parametrize("jerk", [None, QUICK_JERK_RADPS3])
def test_gradients_of_increments_are_the_true_ones(jerk: float | None) -> None:
    layer = make_increments(jerk)
    rng = np.random.default_rng(4)
    q = tensor_of(rng.uniform(-2.0, -0.5, (4, 6)), requires_grad=True)
    # Two in the middle of the box, one cut off by acceleration, one by position.
    speed = rng.uniform(-1.0, 1.0, (4, 6))
    ratio = (speed + rng.uniform(-0.01, 0.01, (4, 6))) / 3.0
    ratio[2] = np.linspace(-0.9, 0.9, 6)
    with torch.no_grad():
        q[3] = layer.high - 0.02
    speed[3] = 0.3
    ratio[3] = 0.7
    qd = tensor_of(speed, requires_grad=True)
    qdd = tensor_of(rng.uniform(-1.0, 1.0, (4, 6)), requires_grad=True)
    action = tensor_of(ratio, requires_grad=True)

    def project(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        answer = layer(*inputs)
        return answer.q, answer.loss

    assert bool(layer(q, qd, qdd, action).is_granted.all())
    assert torch.autograd.gradcheck(project, (q, qd, qdd, action), eps=1e-7, atol=1e-5)


def test_a_wish_inside_the_box_has_the_gradient_of_the_matrix() -> None:
    layer = make_increments()
    action = tensor_of(np.full(6, 0.01), requires_grad=True)
    zeros = torch.zeros(6, dtype=torch.float64)

    layer(tensor_of(HOME_Q), zeros, zeros, action).q.sum().backward()

    assert torch.allclose(gradient_of(action), torch.full_like(action, 3.0 * PERIOD_S))


def test_beyond_the_box_the_loss_points_back_inside() -> None:
    layer = make_increments()
    action = tensor_of([0.9, -0.9, 0.0, 1.4, 0.0, 0.0], requires_grad=True)
    zeros = torch.zeros(6, dtype=torch.float64)

    answer = layer(tensor_of(HOME_Q), zeros, zeros, action)
    answer.loss.backward()

    assert float(answer.loss.detach()) == pytest.approx(
        2 * (0.9 - 25 * PERIOD_S / 3) + (1.0 - 25 * PERIOD_S / 3) + 0.4
    )
    assert torch.equal(
        gradient_of(action).sign(), tensor_of([1.0, -1.0, 0.0, 1.0, 0.0, 0.0])
    )


def test_straight_gradients_pass_as_if_nothing_had_been_cut_off() -> None:
    exact, straight = make_increments(), make_increments(straight=True)
    zeros = torch.zeros(6, dtype=torch.float64)
    wild = tensor_of(np.full(6, 1.7), requires_grad=True)

    cut = exact(tensor_of(HOME_Q), zeros, zeros, wild)
    (of_exact,) = torch.autograd.grad(cut.q.sum(), wild)
    passed = straight(tensor_of(HOME_Q), zeros, zeros, wild)
    (of_straight,) = torch.autograd.grad(passed.q.sum(), wild, retain_graph=True)
    (of_loss,) = torch.autograd.grad(passed.loss, wild)

    assert torch.equal(cut.q, passed.q)
    assert torch.equal(cut.loss, passed.loss)
    assert not of_exact.any()
    assert torch.allclose(of_straight, torch.full_like(wild, 3.0 * PERIOD_S))
    assert (of_loss > 0.0).all()


def test_a_state_that_permits_nothing_has_no_gradient_and_stays() -> None:
    layer = make_increments()
    q = tensor_of(HOME_Q)
    qd = tensor_of(np.full(6, 3.5))
    action = tensor_of(np.full(6, 0.1), requires_grad=True)

    answer = layer(q, qd, torch.zeros_like(q), action)
    (answer.q.sum() + answer.loss).backward()

    assert not bool(answer.is_granted)
    assert torch.equal(answer.q.detach(), q)
    assert not gradient_of(action).any()


# --- gradients of poses --------------------------------------------------------------


def test_gradients_of_granted_poses_are_the_true_ones() -> None:
    layer = make_poses()
    q = tensor_of([HOME_Q, OVER_BIN_Q])
    base = tensor_of([transform_of(HOME_Q + 0.05), transform_of(OVER_BIN_Q - 0.04)])
    rotvec = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    place = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)

    def project(rotvec: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answer = layer(q, turned(rotvec, place, base))
        return answer.q, answer.loss, answer.singular_value

    assert bool(layer(q, base).is_granted.all())
    assert torch.autograd.gradcheck(project, (rotvec, place), eps=1e-7, atol=1e-5)


def make_refused() -> tuple[Tensor, Tensor]:
    """Return poses: out of reach, outside, singular, beyond a joint limit."""
    straight, far_turned = HOME_Q.copy(), HOME_Q.copy()
    straight[4] = -0.2
    far_turned[5] = 6.25
    out_of_reach, outside = transform_of(HOME_Q), transform_of(HOME_Q)
    out_of_reach[:, 3] = (0.9, 0.9, 0.4)
    outside[2, 3] = 0.75
    start = HOME_Q.copy()
    start[5] = 6.1
    q = tensor_of([HOME_Q, HOME_Q, straight + 0.01, start])
    targets = [out_of_reach, outside, transform_of(straight), transform_of(far_turned)]
    return q, tensor_of(targets)


def test_gradients_of_refused_poses_are_the_true_ones() -> None:
    layer = make_poses()
    q, base = make_refused()
    rotvec = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    place = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)

    def measure(rotvec: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        answer = layer(q, turned(rotvec, place, base))
        return answer.loss, answer.residual_m

    answer = layer(q, base)
    assert not bool(answer.is_granted.any())
    assert torch.equal(answer.q, q)
    assert torch.autograd.gradcheck(measure, (rotvec, place), eps=1e-7, atol=1e-4)


def test_a_refused_pose_gets_nearer_along_its_gradient() -> None:
    layer = make_poses()
    q, base = make_refused()
    rotvec = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    place = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    before = layer(q, turned(rotvec, place, base)).loss

    gradients = torch.autograd.grad(before.sum(), (rotvec, place))

    for size in (1e-4, 1e-3):
        with torch.no_grad():
            moved = turned(-size * gradients[0], -size * gradients[1], base)
            assert bool((layer(q, moved).loss < before).all())


def test_gradients_stay_bounded_where_the_arm_is_singular() -> None:
    layer = make_poses()
    rng = np.random.default_rng(2)
    joints = rng.uniform(-1.5, 1.5, (300, 6))
    joints[:100, 4] = 0.0
    joints[100:200, 2] = 0.0
    joints[200:] *= 0.0
    joints[200:, 1] = -rng.uniform(0.0, 3.0, 100)
    base = tensor_of([transform_of(q) for q in joints])
    rotvec = torch.zeros(300, 3, dtype=torch.float64, requires_grad=True)
    place = tensor_of(rng.normal(0.0, 0.05, (300, 3)), requires_grad=True)

    answer = layer(tensor_of(joints), turned(rotvec, place, base))
    gradients = torch.autograd.grad(answer.loss.sum(), (rotvec, place))

    largest = max(float(gradient.norm(dim=-1).max()) for gradient in gradients)
    assert np.isfinite(largest)
    assert largest < 5.0 / IK_DAMPING**2


def test_nonsense_in_one_sample_spoils_neither_gradients_nor_answers_of_others() -> (
    None
):
    layer = make_poses()
    q = tensor_of([HOME_Q, HOME_Q, OVER_BIN_Q])
    base = tensor_of([transform_of(HOME_Q + 0.05)] * 3)
    base[1, 0, 0] = torch.nan
    base.requires_grad_()

    answer = layer(q, base)
    (answer.q.sum() + answer.loss.sum()).backward()

    assert answer.is_granted.tolist()[:2] == [True, False]
    assert torch.equal(answer.q[1].detach(), q[1])
    assert torch.isfinite(gradient_of(base)).all()
    assert not gradient_of(base)[1].any()


def test_the_gradient_of_the_smallest_singular_value_is_that_of_a_decomposition() -> (
    None
):
    rng = np.random.default_rng(5)
    jacobian = tensor_of(rng.normal(size=(8, 6, 6)), requires_grad=True)

    assert torch.autograd.gradcheck(compute_smallest_singular_value, (jacobian,))
    (ours,) = torch.autograd.grad(
        compute_smallest_singular_value(jacobian).sum(), jacobian
    )
    (theirs,) = torch.autograd.grad(
        torch.linalg.svdvals(jacobian)[..., -1].sum(), jacobian
    )
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_in_a_singularity_the_gradient_of_the_singular_value_is_finite() -> None:
    q = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    tool = tensor_of(TOOL.as_matrix()[:3])

    compute_smallest_singular_value(compute_tool(q, tool)[1]).sum().backward()

    assert torch.isfinite(gradient_of(q)).all()
    assert float(gradient_of(q).norm()) < 10.0


def test_gradients_of_a_pose_error_are_the_true_ones_at_zero_as_well() -> None:
    base = tensor_of([transform_of(HOME_Q)] * 3)
    rotvec = tensor_of(
        [[0.0, 0.0, 0.0], [1e-5, 0.0, 0.0], [0.4, -1.0, 2.0]], requires_grad=True
    )
    place = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)

    def measure(rotvec: Tensor, place: Tensor) -> Tensor:
        return compute_pose_error(base, turned(rotvec, place, base))

    assert torch.allclose(measure(rotvec, place)[:, 3:], rotvec)
    assert torch.autograd.gradcheck(measure, (rotvec, place))


def test_elimination_solves_as_well_as_a_library() -> None:
    rng = np.random.default_rng(6)
    factor = rng.normal(size=(50, 6, 6))
    matrix = factor @ factor.transpose(0, 2, 1) + 1e-3 * np.eye(6)
    right = rng.normal(size=(50, 6, 2))

    solved = solve_positive(tensor_of(matrix), tensor_of(right))

    assert np.allclose(matrix @ solved.numpy(), right, atol=1e-8)


# --- single precision ----------------------------------------------------------------


def test_single_precision_is_as_good_as_it_can_be() -> None:
    exact, single = make_poses(), make_poses().float()
    rng = np.random.default_rng(7)
    q = HOME_Q + rng.normal(0.0, 0.2, (500, 6))
    base = np.array([transform_of(each) for each in q + rng.normal(0.0, 0.1, q.shape)])

    with torch.no_grad():
        wanted = exact(tensor_of(q), tensor_of(base))
        got = single(tensor_of(q).float(), tensor_of(base).float())

    both = wanted.is_granted & got.is_granted
    assert int((wanted.is_granted != got.is_granted).sum()) <= 2
    assert int(both.sum()) > 100
    assert float((wanted.q - got.q)[both].abs().max()) < 1e-4
    assert float((wanted.singular_value - got.singular_value).abs().max()) < 1e-4
    assert got.q.dtype == torch.float32


def test_increments_keep_single_precision() -> None:
    exact, single = make_increments(JERK_RADPS3), make_increments(JERK_RADPS3).float()
    rng = np.random.default_rng(8)
    state = [HOME_Q + rng.normal(0.0, 0.2, (500, 6)), rng.normal(0.0, 0.3, (500, 6))]
    inputs = [*state, np.zeros((500, 6)), rng.uniform(-1.0, 1.0, (500, 6))]

    wanted = exact(*(tensor_of(x) for x in inputs))
    got = single(*(tensor_of(x).float() for x in inputs))

    assert torch.equal(wanted.is_granted, got.is_granted)
    assert float((wanted.q - got.q).abs().max()) < 1e-6


# --- learning ------------------------------------------------------------------------


def test_a_policy_learns_to_stay_where_it_is_granted() -> None:
    layer = make_poses().float()
    last_layer = torch.nn.Linear(16, 3)
    policy = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), last_layer)
    # It begins with places outside of the workspace and beyond the reach.
    with torch.no_grad():
        last_layer.bias.copy_(torch.tensor([0.55, 0.0, 0.4]))
    q = tensor_of(HOME_Q).float().expand(32, 6)
    base = tensor_of(transform_of(HOME_Q)).float().expand(32, 3, 4)
    seen = torch.randn(32, 4)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.02)

    def propose() -> Any:
        return layer(q, turned(torch.zeros(32, 3), policy(seen), base))

    first = float(propose().is_granted.float().mean())
    for _ in range(80):
        optimiser.zero_grad()
        propose().loss.mean().backward()
        optimiser.step()
    last = float(propose().is_granted.float().mean())

    assert first < 0.2
    assert last > 0.95
