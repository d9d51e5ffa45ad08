"""Kinematics of the UR5e in torch: batched, differentiable, and fit for ONNX.

The same numbers as `cell.kinematics.kernels`. Only operations that the ONNX exporter
knows are used, which excludes decompositions and solvers: the six equations of a damped
step are eliminated in a row, and a smallest singular value comes from squaring.
"""

import math

import torch
from torch import Tensor

from cell.kinematics.kernels import DH_A, DH_CA, DH_D, DH_SA

_A, _D = DH_A.tolist(), DH_D.tolist()
_CA, _SA = DH_CA.tolist(), DH_SA.tolist()
_AXES = 6
# A power of 2^20: values that differ by less than a millionth of themselves are taken
# for one, which is then as exact as they are alike.
_SQUARINGS = 20
# Far below any distance that matters, above what underflows when squared.
_TINY = 1e-12
# Leaves a tangent below 0.1, of which so many terms give all digits.
_HALVINGS, _SERIES = 4, 8


def _row(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def _make_links() -> Tensor:
    """Return what is constant in the links, and what cosine and sine multiply."""
    parts = torch.zeros(3, _AXES, 4, 4, dtype=torch.float64)
    for i in range(_AXES):
        parts[0, i, 2, 1:] = _row(_SA[i], _CA[i], _D[i])
        parts[0, i, 3, 3] = 1.0
        parts[1, i, 0, ::3] = _row(1.0, _A[i])
        parts[1, i, 1, 1:3] = _row(_CA[i], -_SA[i])
        parts[2, i, 0, 1:3] = _row(-_CA[i], _SA[i])
        parts[2, i, 1, ::3] = _row(1.0, _A[i])
    return parts


_LINKS = _make_links()


def compute_tool(q: Tensor, flange_from_tcp: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tool pose and the Jacobian of the TCP.

    Args:
        q: joint positions, shape (..., 6) [rad].
        flange_from_tcp: tool, shape (3, 4).

    Returns:
        base_from_tcp, shape (..., 3, 4), and the Jacobian in base axes, linear rows
        first, shape (..., 6, 6).
    """
    constant, of_cosine, of_sine = _LINKS.to(q)
    links = (
        constant
        + torch.cos(q)[..., None, None] * of_cosine
        + torch.sin(q)[..., None, None] * of_sine
    )
    frame = links[..., 0, :, :]
    frames = [torch.eye(4, dtype=q.dtype, device=q.device).expand(frame.shape), frame]
    for i in range(1, _AXES):
        frame = frame @ links[..., i, :, :]
        frames.append(frame)
    tool = frame[..., :3, :3] @ flange_from_tcp + torch.nn.functional.pad(
        frame[..., :3, 3:], (3, 0)
    )
    joints = torch.stack(frames[:_AXES], -1)[..., :3, 2:, :]
    axes = joints[..., 0, :]
    linear = torch.linalg.cross(axes, tool[..., 3:] - joints[..., 1, :], dim=-2)
    return tool, torch.cat([linear, axes], -2)


def compute_pose_error(current: Tensor, target: Tensor) -> Tensor:
    """Return translation and rotation vector from one pose to the other, (..., 6).

    Args:
        current: shape (..., 3, 4).
        target: shape (..., 3, 4).
    """
    turn = target[..., :3] @ current[..., :3].transpose(-1, -2)
    # Half of what is not symmetric in a rotation is the sine times its axis.
    axis = 0.5 * torch.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        -1,
    )
    cosine = 0.5 * (turn[..., 0, 0] + turn[..., 1, 1] + turn[..., 2, 2] - 1.0)
    square = (axis * axis).sum(-1)
    # Below this the angle is its sine, and the root loses its derivative.
    is_small = square < torch.finfo(current.dtype).eps
    sine = torch.sqrt(torch.where(is_small, torch.ones_like(square), square))
    angle = _compute_angle(sine, cosine)
    ratio = torch.where(is_small, torch.ones_like(square), angle / sine)
    # Half a turn: then any axis will do, as long as it is not "none".
    half = math.pi * torch.eye(3, dtype=axis.dtype, device=axis.device)[0]
    is_half = (is_small & (cosine < 0.0))[..., None]
    rotation = torch.where(is_half, half, ratio[..., None] * axis)
    return torch.cat([target[..., 3] - current[..., 3], rotation], -1)


def _compute_angle(sine: Tensor, cosine: Tensor) -> Tensor:
    """Return the angle of 0..pi with a positive sine; as atan2, for any precision.

    ONNX runtimes know the arc tangent in single precision only.
    """
    length = torch.sqrt(sine * sine + cosine * cosine)
    # The tangent of the half angle, in the form that loses no digits.
    tangent = torch.where(
        cosine > 0.0,
        sine / (length + cosine.clamp(min=0.0)),
        (length - cosine) / sine,
    )
    for _ in range(_HALVINGS):
        tangent = tangent / (1.0 + torch.sqrt(1.0 + tangent * tangent))
    square = tangent * tangent
    series = torch.zeros_like(square)
    for power in range(_SERIES, -1, -1):
        series = (-1.0) ** power / (2 * power + 1) + square * series
    return 2.0 ** (_HALVINGS + 1) * tangent * series


def solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve for a symmetric positive definite matrix, by elimination without pivots.

    Args:
        matrix: shape (..., n, n).
        right: shape (..., n, k).
    """
    size = matrix.shape[-1]
    unit = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    rows = torch.cat([matrix, right], -1)
    for k in range(size):
        row = rows[..., k : k + 1, :] / rows[..., k : k + 1, k : k + 1]
        rows = rows - (rows[..., k : k + 1] - unit[:, k : k + 1]) * row
    return rows[..., size:]


def compute_damped_step(jacobian: Tensor, error: Tensor, damping: float) -> Tensor:
    """Return J^T (J J^T + damping^2 I)^-1 error, shape (..., 6)."""
    unit = torch.eye(_AXES, dtype=jacobian.dtype, device=jacobian.device)
    across = jacobian.transpose(-1, -2)
    weights = solve_positive(
        jacobian @ across + damping * damping * unit, error[..., None]
    )
    return (across @ weights)[..., 0]


def compute_smallest_singular_value(jacobian: Tensor) -> Tensor:
    """Return the smallest singular value of (..., 6, 6), shape (...).

    Its gradient is that of the value alone, which never grows beyond 1; where two
    values coincide it is their mean. Second derivatives are not there.
    """
    squared = jacobian @ jacobian.transpose(-1, -2)
    direction = _project_on_smallest(squared.detach())
    value = (squared * direction).sum((-1, -2))
    return torch.sqrt(torch.relu(value) + _floor_of(jacobian))


def compute_length(vector: Tensor) -> Tensor:
    """Return the length of (..., n), with a gradient of zero at zero."""
    return torch.sqrt((vector * vector).sum(-1) + _TINY**2)


def _project_on_smallest(squared: Tensor) -> Tensor:
    """Return the projector on the eigenvector of the smallest eigenvalue, trace 1."""
    unit = torch.eye(_AXES, dtype=squared.dtype, device=squared.device)
    # The largest eigenvalue stays below 10: this is what rounding leaves of a zero.
    shift = 100.0 * torch.finfo(squared.dtype).eps
    powers = solve_positive(squared + shift * unit, unit.expand(squared.shape))
    for _ in range(_SQUARINGS):
        powers = powers / powers.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        powers = powers @ powers
    return powers / powers.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]


def _floor_of(tensor: Tensor) -> float:
    """Return a square below rounding that keeps the root's derivative finite."""
    return torch.finfo(tensor.dtype).eps
