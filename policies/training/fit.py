"""Fits the grasp network to labelled grasps; can be interrupted and resumed."""

import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cell.contracts.errors import ModelError
from policies.training.network import GraspNetwork
from policies.training.patches import compute_logits, make_patches
from policies.training.samples import GraspSamples

_HELD_OUT_EVERY = 12


@dataclass(frozen=True)
class FitPlan:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the data.
        batch: grasps in a step.
        peak_rate: highest learning rate of the one-cycle schedule.
        weight_decay: of AdamW.
        seed: of order and augmentation.
    """

    epochs: int
    batch: int = 64
    peak_rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0


@dataclass(frozen=True)
class FitMetrics:
    """How well the network fits after an epoch.

    Attributes:
        epoch: number of finished epochs.
        train_loss: mean binary cross-entropy over the epoch.
        held_out_loss: the same on scenes kept aside.
        held_out_accuracy: share of held-out grasps judged right at 0.5.
    """

    epoch: int
    train_loss: float
    held_out_loss: float
    held_out_accuracy: float


def fit_network(
    network: GraspNetwork,
    samples: GraspSamples,
    plan: FitPlan,
    checkpoint: Path,
    report: Callable[[FitMetrics], None],
) -> FitMetrics:
    """Train in place.

    Args:
        network: starts from its present weights.
        samples: all labelled grasps; every twelfth scene is held out.
        plan: how.
        checkpoint: written after every epoch; when it exists, training goes on there.
        report: told after every epoch.

    Returns:
        Metrics of the last epoch.

    Raises:
        ModelError: the checkpoint is damaged.
    """
    # Convolutions with few channels run a third faster in this layout on a CPU.
    # The stubs of torch lack the overload for formats, here and below.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    held_out = samples.scene % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    kept, aside = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    steps = max(1, len(kept) // plan.batch)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.peak_rate, weight_decay=plan.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.peak_rate, total_steps=plan.epochs * steps + 1
    )
    metrics = _resume(checkpoint, network, optimiser, schedule)
    for epoch in range(metrics.epoch, plan.epochs):
        rng = np.random.default_rng([plan.seed, epoch])
        order = rng.permutation(kept)[: steps * plan.batch].reshape(steps, -1)
        network.train()
        total = 0.0
        for index in order:
            loss = _loss(network, samples, index, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        held_out_loss, accuracy = _evaluate(network, samples, aside)
        metrics = FitMetrics(epoch + 1, total / steps, held_out_loss, accuracy)
        _save(checkpoint, metrics, network, optimiser, schedule)
        report(metrics)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    network.eval()
    return metrics


def read_finished_epochs(checkpoint: Path) -> int:
    """Return how many epochs a checkpoint holds, 0 when there is none.

    Raises:
        ModelError: it is damaged.
    """
    if not checkpoint.exists():
        return 0
    return int(_read_checkpoint(checkpoint)["metrics"]["epoch"])


def _loss(
    network: GraspNetwork,
    samples: GraspSamples,
    index: NDArray[np.intp],
    rng: np.random.Generator | None,
) -> torch.Tensor:
    logits, labels = _predict(network, samples, index, rng)
    return functional.binary_cross_entropy_with_logits(logits, labels)


def _predict(
    network: GraspNetwork,
    samples: GraspSamples,
    index: NDArray[np.intp],
    rng: np.random.Generator | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    patches, centre = make_patches(network, samples, index, rng)
    channel = torch.from_numpy(samples.aperture[index].astype(np.int64))
    logits = compute_logits(network, patches, centre)
    chosen = logits.gather(1, channel[:, None])[:, 0]
    return chosen, torch.from_numpy(samples.success[index])


def _evaluate(
    network: GraspNetwork, samples: GraspSamples, index: NDArray[np.intp]
) -> tuple[float, float]:
    if not len(index):
        return math.nan, math.nan
    network.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(index), 256):
            some = index[start : start + 256]
            logits, labels = _predict(network, samples, some, None)
            loss += float(
                functional.binary_cross_entropy_with_logits(
                    logits, labels, reduction="sum"
                )
            )
            right += int(((logits > 0) == (labels > 0.5)).sum())
    return loss / len(index), right / len(index)


def _save(
    path: Path,
    metrics: FitMetrics,
    network: GraspNetwork,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    buffer = io.BytesIO()
    torch.save(
        {
            "metrics": asdict(metrics),
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": {"last_epoch": schedule.last_epoch},
        },
        buffer,
    )
    draft = path.with_suffix(".part")
    draft.write_bytes(buffer.getvalue())
    draft.replace(path)


def _resume(
    path: Path,
    network: GraspNetwork,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> FitMetrics:
    if not path.exists():
        return FitMetrics(0, math.nan, math.nan, math.nan)
    state = _read_checkpoint(path)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.last_epoch = int(state["schedule"]["last_epoch"])
    return FitMetrics(**state["metrics"])


def _read_checkpoint(path: Path) -> dict[str, Any]:
    remedy = "delete it, and this round is fitted again"
    # Of anything else torch would only say that it fails to unpickle it.
    if not is_zipfile(path):
        raise ModelError(f"{path}: damaged checkpoint; {remedy}")
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except RuntimeError as error:
        raise ModelError(f"{path}: damaged checkpoint; {remedy}") from error
    return state
