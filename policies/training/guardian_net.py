"""The Guardian network in torch: three small heads on one attempt, and its novelty.

Beside the heads it tells which state the cell is in, good or one of some kinds of
trouble: troubles show in opposite ways, and one number for all of them would average
the signs away. A lost grasp shows other things than a part that stays in the fingers,
so attempts that never came to the transfer are read by weights of their own.

Normalisation and calibration are inside the graph, so nothing but features in their
own units enters it, and what leaves it is a probability that was checked.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.runtime.guardian_tensors import FEATURES, OUTPUT_NAMES
from policies.training.attempt_samples import MILD_SEVERITIES

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

STATES: Final = len(MILD_SEVERITIES)
"""States of the cell that are told apart: good, and one for each family of trouble."""

_WIDTHS: Final = (24, 12)
# Beyond this many standard deviations a feature says no more than that it is far out.
_SQUASH: Final = 3.0
_FAR_SIGMAS: Final = 8.0
_LEAST_SPREAD: Final = 1e-6
# Only what came to the transfer was shaken there; a sensor's noise is never nothing.
_SHAKEN: Final = FEATURES.index("vibration_n")
# A second choice after a failure has one other fewer below it, and less entropy. It
# comes as often as failures do, and says nothing but that there was one.
_SECOND_CHOICE: Final = {"alternatives": 1.0, "score_entropy_nat": 0.25}
_SURE: Final = 1e-4
_SOURCES: Final = tuple(
    FEATURES.index(name)
    for name in ("width_m", "grip_m", "closing_force_n", "approach_force_n", "score")
)
_DERIVED: Final = 4


class GuardianNet(nn.Module):
    """One row of features in; success, silent failure, next success, novelty out."""

    mean: Tensor
    spread: Tensor
    early: Tensor
    gain: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        count = len(FEATURES) + _DERIVED
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        early = [float(name in KNOWN_AT_CLOSING) for name in FEATURES]
        early += [1.0] * _DERIVED
        self.register_buffer("early", torch.tensor(early))
        self.register_buffer("gain", torch.ones(len(HEADS)))
        self.register_buffer("shift", torch.zeros(len(HEADS)))
        self.heads = nn.ModuleList(_make_head(count) for _ in HEADS)
        self.states = nn.Linear(2 * count, STATES)
        self.lost_states = nn.Linear(2 * count, STATES)

    def learn_scale(self, features: NDArray[np.float32]) -> None:
        """Take mean and spread of the usual from attempts of a healthy cell."""
        rows = _extend(torch.from_numpy(features))
        self.mean.copy_(rows.mean(dim=0))
        floor = torch.full_like(self.spread, _LEAST_SPREAD)
        for name, spread in _SECOND_CHOICE.items():
            floor[FEATURES.index(name)] = spread
        self.spread.copy_(torch.maximum(rows.std(dim=0, correction=0), floor))

    def compute_state_logits(self, features: Tensor) -> Tensor:
        """Return the logit of each state of the cell, shape (rows, states)."""
        squashed = self._squash(features)
        both = torch.cat([squashed, squashed * squashed - 1.0], dim=1)
        arrived = self.has_arrived(features)[:, None]
        return torch.where(arrived, self.states(both), self.lost_states(both))

    @staticmethod
    def has_arrived(features: Tensor) -> Tensor:
        """Return which attempts came to the transfer, shape (rows,)."""
        return features[:, _SHAKEN] > 0.0

    def compute_logits(self, features: Tensor) -> Tensor:
        """Return the logit of each head before calibration, shape (rows, 3)."""
        squashed = self._squash(features)
        known, *later = self.heads
        return torch.cat(
            [known(squashed * self.early), *(head(squashed) for head in later)], dim=1
        )

    def forward(
        self, features: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs in their order, shape (rows, size) each."""
        logits = self.compute_logits(features) * self.gain + self.shift
        chances = torch.sigmoid(logits)
        known = len(FEATURES)
        sigmas = (features - self.mean[:known]) / self.spread[:known]
        sigmas = sigmas.clamp(-_FAR_SIGMAS, _FAR_SIGMAS)
        novelty = (sigmas * sigmas).mean(dim=1, keepdim=True)
        states = self.compute_state_logits(features)
        troubles = torch.sigmoid(states[:, 1:] - states[:, :1])
        return chances[:, 0:1], chances[:, 1:2], chances[:, 2:3], novelty, troubles

    def _squash(self, features: Tensor) -> Tensor:
        sigmas = (_extend(features) - self.mean) / self.spread
        return _SQUASH * torch.tanh(sigmas / _SQUASH)


def _extend(features: Tensor) -> Tensor:
    """Return the features and what is easier to learn from than from them alone.

    How far the grip is from the width that the camera showed, forces by their order of
    magnitude, and the score by how sure it is.
    """
    width, grip, closing, approach, score = (
        features[:, number : number + 1] for number in _SOURCES
    )
    derived = (
        grip - width,
        torch.log1p(closing.clamp(min=0.0)),
        torch.log1p(approach.clamp(min=0.0)),
        -torch.log((1.0 - score).clamp(min=_SURE)),
    )
    return torch.cat([features, *derived], dim=1)


def _make_head(count: int) -> nn.Sequential:
    first, second = _WIDTHS
    return nn.Sequential(
        nn.Linear(count, first),
        nn.Tanh(),
        nn.Linear(first, second),
        nn.Tanh(),
        nn.Linear(second, 1),
    )
