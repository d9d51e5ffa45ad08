"""The exported layers answer as they do in torch, without torch."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.training.projection import (
    IncrementAnswer,
    IncrementProjection,
    PoseProjection,
    ProjectionLimits,
)
from policies.training.projection_export import (
    INCREMENT_INPUTS,
    INCREMENT_OUTPUTS,
    POSE_INPUTS,
    POSE_OUTPUTS,
    export_increments,
    export_module,
    export_poses,
)
from tests.fakes.motion_oracle import HOME_Q
from tests.fakes.projection_cases import (
    JERK_RADPS3,
    draw_increments,
    draw_poses,
    make_packed,
)

COUNT = 2000
pytestmark = pytest.mark.timeout(400)
TYPES = {torch.float64: np.float64, torch.float32: np.float32}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def run(content: bytes, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(content, options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def compare(
    layer: nn.Module,
    names: tuple[str, ...],
    inputs: list[NDArray[Any]],
    content: bytes,
) -> tuple[Any, dict[str, NDArray[Any]]]:
    with torch.no_grad():
        expected = layer(*(torch.from_numpy(x) for x in inputs))
    return expected, run(content, dict(zip(names, inputs, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_exported_increments_answer_as_in_torch(dtype: torch.dtype) -> None:
    packed = make_packed(JERK_RADPS3)
    layer = IncrementProjection(ProjectionLimits.from_packed(packed)).to(dtype)
    cases = draw_increments(np.random.default_rng(0), COUNT, packed)
    with np.errstate(over="ignore"):
        inputs = [x.astype(TYPES[dtype]) for x in vars(cases).values()]

    expected, got = compare(layer, INCREMENT_INPUTS, inputs, export_increments(layer))

    assert tuple(got) == INCREMENT_OUTPUTS
    differs = got["is_granted"] != expected.is_granted.numpy()
    assert differs.sum() <= (0 if dtype is torch.float64 else COUNT // 100)
    assert got["q_request"].dtype == TYPES[dtype]
    for name, answer in (("q_request", expected.q), ("loss", expected.loss)):
        wanted = answer.numpy()
        assert np.allclose(
            got[name][~differs], wanted[~differs], rtol=0, atol=1e-6, equal_nan=True
        )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_exported_poses_answer_as_in_torch(dtype: torch.dtype) -> None:
    packed = make_packed()
    layer = PoseProjection(ProjectionLimits.from_packed(packed)).to(dtype)
    cases = draw_poses(np.random.default_rng(0), COUNT, packed)
    with np.errstate(over="ignore"):
        inputs = [x.astype(TYPES[dtype]) for x in vars(cases).values()]

    expected, got = compare(layer, POSE_INPUTS, inputs, export_poses(layer))

    assert tuple(got) == POSE_OUTPUTS
    granted = expected.is_granted.numpy()
    differs = got["is_granted"] != granted
    assert differs.sum() <= (0 if dtype is torch.float64 else COUNT // 100)
    tolerance = 1e-6 if dtype is torch.float64 else 1e-4
    for name, answer in zip(POSE_OUTPUTS, expected, strict=True):
        wanted = answer.numpy()
        # In single precision a step far from its goal may go another way.
        kept = ~differs & (granted | (dtype is torch.float64))
        assert np.allclose(
            got[name][kept], wanted[kept], rtol=0, atol=tolerance, equal_nan=True
        )


class Policy(nn.Module):
    """A head and the projection of what it wants."""

    def __init__(self, layer: IncrementProjection) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(18, 16), nn.Tanh(), nn.Linear(16, 6))
        self.layer = layer

    def forward(self, q: Tensor, qd: Tensor, qdd: Tensor) -> IncrementAnswer:
        action = self.head(torch.cat([q, qd, 0.01 * qdd], -1))
        answer: IncrementAnswer = self.layer(q, qd, qdd, action)
        return answer


@pytest.mark.slow
def test_a_policy_that_embeds_the_layer_exports_with_it() -> None:
    torch.manual_seed(0)
    limits = ProjectionLimits.from_packed(make_packed(JERK_RADPS3))
    policy = Policy(IncrementProjection(limits).float()).eval()
    rng = np.random.default_rng(1)
    inputs = [
        (HOME_Q + rng.normal(0.0, 0.1, (50, 6))).astype(np.float32),
        rng.normal(0.0, 0.5, (50, 6)).astype(np.float32),
        rng.normal(0.0, 2.0, (50, 6)).astype(np.float32),
    ]
    names = INCREMENT_INPUTS[:3]

    content = export_module(
        policy,
        tuple(torch.from_numpy(x[:2]) for x in inputs),
        names,
        INCREMENT_OUTPUTS,
    )

    expected, got = compare(policy, names, inputs, content)
    assert (got["is_granted"] == expected.is_granted.numpy()).all()
    assert np.abs(got["q_request"] - expected.q.numpy()).max() < 1e-6
