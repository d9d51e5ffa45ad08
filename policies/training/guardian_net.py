"""The Guardian network in torch: three small heads on one attempt, and its novelty.

Normalisation and calibration are inside the graph, so nothing but features in their
own units enters it, and what leaves it is a probability that was checked.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.runtime.guardian_network import FEATURES, OUTPUT_NAMES

KNOWN_AT_CLOSING: Final = (
    "score",
    "score_entropy_nat",
    "runner_up_ratio",
    "alternatives",
    "aperture_m",
    "width_m",
    "grasp_height_m",
    "grip_m",
    "approach_force_n",
    "closing_force_n",
)
"""What is known of an attempt before it is known how it ends."""

HEADS: Final = OUTPUT_NAMES[:3]

_WIDTHS: Final = (24, 12)
# Beyond this many standard deviations a feature says no more than that it is far out.
_SQUASH: Final = 3.0
_FAR_SIGMAS: Final = 8.0
_LEAST_SPREAD: Final = 1e-6


class GuardianNet(nn.Module):
    """One row of features in; success, silent failure, next success, novelty out."""

    mean: Tensor
    spread: Tensor
    early: Tensor
    gain: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        count = len(FEATURES)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        early = [float(name in KNOWN_AT_CLOSING) for name in FEATURES]
        self.register_buffer("early", torch.tensor(early))
        self.register_buffer("gain", torch.ones(len(HEADS)))
        self.register_buffer("shift", torch.zeros(len(HEADS)))
        self.heads = nn.ModuleList(_make_head(count) for _ in HEADS)

    def learn_scale(self, features: NDArray[np.float32]) -> None:
        """Take mean and spread of the usual from attempts of a healthy cell."""
        self.mean.copy_(torch.from_numpy(features.mean(axis=0)))
        spread = np.maximum(features.std(axis=0), _LEAST_SPREAD)
        self.spread.copy_(torch.from_numpy(spread))

    def compute_logits(self, features: Tensor) -> Tensor:
        """Return the logit of each head before calibration, shape (rows, 3)."""
        sigmas = (features - self.mean) / self.spread
        squashed = _SQUASH * torch.tanh(sigmas / _SQUASH)
        inputs = (squashed * self.early, squashed, squashed)
        return torch.cat(
            [head(x) for head, x in zip(self.heads, inputs, strict=True)], dim=1
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs in their order, shape (rows, 1) each."""
        logits = self.compute_logits(features) * self.gain + self.shift
        chances = torch.sigmoid(logits)
        sigmas = ((features - self.mean) / self.spread).clamp(-_FAR_SIGMAS, _FAR_SIGMAS)
        novelty = (sigmas * sigmas).mean(dim=1, keepdim=True)
        return chances[:, 0:1], chances[:, 1:2], chances[:, 2:3], novelty


def _make_head(count: int) -> nn.Sequential:
    first, second = _WIDTHS
    return nn.Sequential(
        nn.Linear(count, first),
        nn.Tanh(),
        nn.Linear(first, second),
        nn.Tanh(),
        nn.Linear(second, 1),
    )
