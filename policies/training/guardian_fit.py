"""Fits the Guardian network: what each head learns from, what its word is worth.

The states of the cell are learned from successes alone, for the tests weigh a failure
by its outcome. How grasps fare in the state that an attempt shows is then the third
head, calibrated on how the *other* attempts of the same state ended.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from policies.guardian_manifest import ReliabilityBin
from policies.training.attempt_samples import AttemptSamples
from policies.training.guardian_net import HEADS, STATES, GuardianNet

_SEVERITY_BINS: Final = 4
_HELD_OUT_EVERY: Final = 5
_CALIBRATION_STEPS: Final = 400
_CHECK_EVERY: Final = 10
_PATIENCE_CHECKS: Final = 25
_LEAST_SAY: Final = 1e-6

_Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class GuardianFitPlan:
    """How long and how fast to train.

    Attributes:
        steps: at most, each over all attempts.
        rate: learning rate of AdamW.
        weight_decay: of AdamW.
        seed: of the first weights.
    """

    steps: int = 1500
    rate: float = 4e-3
    weight_decay: float = 2e-2
    seed: int = 0


def fit_guardian(
    samples: AttemptSamples, kept_aside: AttemptSamples, plan: GuardianFitPlan
) -> GuardianNet:
    """Train on one set of attempts and calibrate on another one.

    Args:
        samples: to learn from; every fifth scene says when to stop.
        kept_aside: of other scenes, for the calibration of the probabilities.
        plan: how.

    Raises:
        ValueError: there are too few scenes.
    """
    torch.manual_seed(plan.seed)
    network = GuardianNet()
    network.learn_scale(samples.features[samples.is_good])
    network.state_success.copy_(torch.from_numpy(measure_state_success(samples)))
    # By their order: the number of a scene says what it is for.
    order = np.unique(samples.scene, return_inverse=True)[1]
    check = order % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    if not check.any():
        raise ValueError("too few scenes to hold any out of the fit")
    tensors = _tensors(samples)
    _train(network, _pick(tensors, ~check), _pick(tensors, check), plan)
    _calibrate(network, kept_aside)
    return network.eval()


def compute_targets(
    samples: AttemptSamples,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each head should say, and how much each attempt counts.

    Returns:
        Targets and weights, shape (attempts, heads). A silent failure is asked about
        only where something was counted as placed.
    """
    placed = samples.is_placed.astype(np.float32)
    silent = (samples.is_placed & ~samples.is_one).astype(np.float32)
    following, siblings = _success_of_siblings(samples)
    targets = np.column_stack([placed, silent, following])
    weights = np.column_stack([np.ones_like(placed), placed, siblings])
    return targets.astype(np.float32), weights.astype(np.float32)


def compute_states(
    samples: AttemptSamples,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the state of the cell behind each attempt, and its say in the fit.

    Failures have none, for the test weighs them by their outcome; the good state has
    as much as all others together, and each of these the same; severe ones say more.
    """
    state = np.where(samples.is_good, 0, samples.family).astype(np.int64)
    say = np.where(samples.is_good, 1.0, samples.severity) * samples.is_placed
    total = np.bincount(state, weights=say)
    others = max(int((total[1:] > 0.0).sum()), 1)
    share = np.full(len(total), 1.0 / others)
    share[:1] = 1.0
    each = np.divide(share, total, out=np.zeros(len(total)), where=total > 0.0)
    return state, (say * each[state]).astype(np.float32)


def measure_state_success(samples: AttemptSamples) -> NDArray[np.float32]:
    """Return how grasps fare in each state, 1 where there was none."""
    state = np.where(samples.is_good, 0, samples.family)
    total = np.bincount(state, minlength=STATES)
    good = np.bincount(state, weights=samples.is_placed, minlength=STATES)
    ratio = np.divide(good, total, out=np.ones(STATES), where=total > 0)
    return ratio.astype(np.float32)


def predict(network: GuardianNet, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return all outputs side by side, a row for each attempt."""
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.ascontiguousarray(features)))
    return np.concatenate([output.numpy() for output in outputs], axis=1)


def measure_reliability(
    said: NDArray[np.float32],
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
    bins: int = 8,
) -> tuple[ReliabilityBin, ...]:
    """Return what a network said against what came true, in bins of equal size."""
    asked = weight > 0.0
    said, target = said[asked], target[asked]
    order = np.argsort(said, kind="stable")
    rows = (part for part in np.array_split(order, bins) if len(part))
    return tuple(
        ReliabilityBin(
            said=round(float(said[part].mean()), 4),
            seen=round(float(target[part].mean()), 4),
            count=len(part),
        )
        for part in rows
    )


def compute_calibration_error(rows: tuple[ReliabilityBin, ...]) -> float:
    """Return the mean distance between said and seen, weighted by the attempts."""
    total = sum(row.count for row in rows)
    return sum(row.count * abs(row.said - row.seen) for row in rows) / max(total, 1)


def _success_of_siblings(
    samples: AttemptSamples,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the success of the others in the same state; weight 0 without others."""
    severity_bin = np.minimum(
        (samples.severity * _SEVERITY_BINS).astype(np.int64), _SEVERITY_BINS - 1
    )
    state = 1 + samples.family * _SEVERITY_BINS + severity_bin
    # All that is good is one state: what differs within it must not matter.
    state[samples.is_good] = 0
    total = np.bincount(state)[state] - 1
    good = np.bincount(state, weights=samples.is_placed)[state] - samples.is_placed
    ratio = np.divide(good, total, out=np.zeros(len(total)), where=total > 0)
    return ratio.astype(np.float32), (total > 0).astype(np.float32)


def _train(
    network: GuardianNet, kept: _Tensors, held: _Tensors, plan: GuardianFitPlan
) -> None:
    """Full-batch descent; each part keeps the weights that did best on the held."""
    parts = [*network.heads, network.states]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.rate, weight_decay=plan.weight_decay
    )
    best = [math.inf] * len(parts)
    best_weights = [_copy(part) for part in parts]
    waited = 0
    for step in range(plan.steps):
        losses = _losses(network, kept)
        optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimiser.step()
        if step % _CHECK_EVERY:
            continue
        with torch.no_grad():
            seen = _losses(network, held).tolist()
        waited += 1
        for number, loss in enumerate(seen):
            if loss < best[number]:
                best[number], waited = loss, 0
                best_weights[number] = _copy(parts[number])
        if waited > _PATIENCE_CHECKS:
            break
    for part, state in zip(parts, best_weights, strict=True):
        part.load_state_dict(state)


def _calibrate(network: GuardianNet, samples: AttemptSamples) -> None:
    """Platt's scaling of each head: one gain, which stays positive, and one shift."""
    features, targets, weights, _, _ = _tensors(samples)
    with torch.no_grad():
        logits = network.compute_logits(features)
    log_gain = torch.zeros(len(HEADS), requires_grad=True)
    shift = torch.zeros(len(HEADS), requires_grad=True)
    optimiser = torch.optim.Adam([log_gain, shift], lr=0.05)
    for _ in range(_CALIBRATION_STEPS):
        scaled = logits * log_gain.exp() + shift
        loss = _weighted_loss(scaled, targets, weights).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    network.gain.copy_(log_gain.detach().exp())
    network.shift.copy_(shift.detach())


def _losses(network: GuardianNet, tensors: _Tensors) -> torch.Tensor:
    """Return the loss of both heads and of the states."""
    features, targets, weights, state, say = tensors
    logits = network.compute_logits(features)
    heads = _weighted_loss(logits, targets, weights)[:2]
    each = functional.cross_entropy(
        network.compute_state_logits(features), state, reduction="none"
    )
    states = (each * say).sum() / say.sum().clamp(min=_LEAST_SAY)
    return torch.cat([heads, states[None]])


def _weighted_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of each head over what it is asked about."""
    each = functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none"
    )
    return (each * weights).sum(dim=0) / weights.sum(dim=0).clamp(min=1.0)


def _tensors(samples: AttemptSamples) -> _Tensors:
    targets, weights = compute_targets(samples)
    state, say = compute_states(samples)
    return (
        torch.from_numpy(np.ascontiguousarray(samples.features)),
        torch.from_numpy(targets),
        torch.from_numpy(weights),
        torch.from_numpy(state),
        torch.from_numpy(say),
    )


def _pick(tensors: _Tensors, chosen: NDArray[np.bool_]) -> _Tensors:
    rows = torch.from_numpy(chosen)
    features, targets, weights, state, say = tensors
    return features[rows], targets[rows], weights[rows], state[rows], say[rows]


def _copy(head: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in head.state_dict().items()}
