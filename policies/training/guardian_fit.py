"""Fits the Guardian network: what each head learns from, what its word is worth.

The states of the cell are learned from successes and from failures apart, with the
same say for good and worse cells in each: how often each of them comes is what outcomes
weigh. What another grasp in the state of an attempt would come to is the third head,
fitted to how the *other* attempts of the same state ended.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from policies.guardian_manifest import ReliabilityBin
from policies.runtime.guardian_tensors import OUTPUT_SIZES
from policies.training.attempt_samples import AttemptSamples
from policies.training.guardian_net import HEADS, STATES, GuardianNet

_SEVERITY_BINS: Final = 4
_HELD_OUT_EVERY: Final = 5
_FOLDS: Final = 4
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


@dataclass(frozen=True, eq=False)
class GuardianFit:
    """A network, and what networks like it said of attempts that they never saw.

    Attributes:
        network: fitted to all attempts.
        outputs: shape (attempts, outputs); each row by a network fitted to other
            scenes, with the same calibration.
    """

    network: GuardianNet
    outputs: NDArray[np.float32]


def fit_guardian(samples: AttemptSamples, plan: GuardianFitPlan) -> GuardianFit:
    """Train a network, and one more for each part of the scenes, without that part.

    What the tests are calibrated on has to be unseen, and failures of good cells are
    too few to keep some aside for nothing else: so each part is asked about by a
    network that was fitted to the others, and the probabilities are scaled on all.

    Args:
        samples: to learn from and to calibrate on.
        plan: how.

    Raises:
        ValueError: there are too few scenes.
    """
    # By their order: the number of a scene says what else it is for.
    order = np.unique(samples.scene, return_inverse=True)[1]
    if not len(samples) or order.max() < _FOLDS * _HELD_OUT_EVERY:
        raise ValueError("too few scenes to hold any out of the fit")
    part = order % _FOLDS
    tensors = _tensors(samples)
    logits = torch.zeros(len(samples), len(HEADS))
    others = []
    for number in range(_FOLDS):
        aside = part == number
        network = _fit(samples.select(~aside), plan)
        others.append((aside, network))
        with torch.no_grad():
            rows = torch.from_numpy(aside)
            logits[rows] = network.compute_logits(tensors[0][rows])
    gain, shift = _calibrate(logits, tensors)
    final = _fit(samples, plan)
    for network in (final, *(other for _, other in others)):
        network.gain.copy_(gain)
        network.shift.copy_(shift)
    outputs = np.zeros((len(samples), sum(OUTPUT_SIZES)), np.float32)
    for aside, network in others:
        outputs[aside] = predict(network, samples.features[aside])
    return GuardianFit(final, outputs)


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

    The good state has as much as all others together, and each of these the same, among
    successes and among failures; severe ones say more. Good cells hardly ever fail: the
    failures of nearly good ones count as theirs.
    """
    placed = samples.is_placed
    is_good = np.where(placed, samples.is_good, samples.is_mild)
    state = np.where(is_good, 0, samples.family).astype(np.int64)
    severity = np.where(is_good, 1.0, samples.severity)
    say = np.zeros(len(samples), np.float32)
    for chosen in (placed, ~placed):
        total = np.bincount(state, weights=severity * chosen, minlength=STATES)
        others = max(int((total[1:] > 0.0).sum()), 1)
        share = np.full(STATES, 1.0 / others)
        share[0] = 1.0
        each = np.divide(share, total, out=np.zeros(STATES), where=total > 0.0)
        say[chosen] = (severity * each[state])[chosen]
    return state, say


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
    parts = [*network.heads, network.states, network.lost_states]
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


def _fit(samples: AttemptSamples, plan: GuardianFitPlan) -> GuardianNet:
    """Train one network; every fifth scene says when to stop."""
    torch.manual_seed(plan.seed)
    network = GuardianNet()
    network.learn_scale(samples.features[samples.is_good])
    order = np.unique(samples.scene, return_inverse=True)[1]
    check = order % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    tensors = _tensors(samples)
    _train(network, _pick(tensors, ~check), _pick(tensors, check), plan)
    return network.eval()


def _calibrate(
    logits: torch.Tensor, tensors: _Tensors
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Platt's scaling of each head: one gain, always positive, and one shift."""
    _, targets, weights, _, _ = tensors
    log_gain = torch.zeros(len(HEADS), requires_grad=True)
    shift = torch.zeros(len(HEADS), requires_grad=True)
    optimiser = torch.optim.Adam([log_gain, shift], lr=0.05)
    for _ in range(_CALIBRATION_STEPS):
        scaled = logits * log_gain.exp() + shift
        loss = _weighted_loss(scaled, targets, weights).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return log_gain.detach().exp(), shift.detach()


def _losses(network: GuardianNet, tensors: _Tensors) -> torch.Tensor:
    """Return the loss of each head and of the states, of what arrived and was lost."""
    features, targets, weights, state, say = tensors
    heads = _weighted_loss(network.compute_logits(features), targets, weights)
    each = functional.cross_entropy(
        network.compute_state_logits(features), state, reduction="none"
    )
    arrived = network.has_arrived(features)
    parts = [
        (each * say * chosen).sum() / (say * chosen).sum().clamp(min=_LEAST_SAY)
        for chosen in (arrived, ~arrived)
    ]
    return torch.cat([heads, torch.stack(parts)])


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
