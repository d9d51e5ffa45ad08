"""Training batches: patches of rotated heightmaps, centred on the grasp.

The network is fully convolutional and its view is narrower than a patch, so training
on patches equals training on whole rotated maps at a quarter of the price.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from policies.training.network import GraspNetwork
from policies.training.samples import GraspSamples

PATCH_PX = 44
MARGIN_PX = 16
"""Finger heights look this far beyond a pixel; cut off before the network."""

ROTATION_JITTER_RAD = math.radians(4.0)
HEIGHT_JITTER_M = 0.001


def make_patches(
    network: GraspNetwork,
    samples: GraspSamples,
    index: NDArray[np.intp],
    rng: np.random.Generator | None,
) -> tuple[Tensor, tuple[int, int]]:
    """Cut the patches of some grasps.

    Args:
        network: gives grid and angles.
        samples: the data.
        index: which grasps.
        rng: source of augmentation; None cuts plain patches.

    Returns:
        Patches (batch, 1, p, p) [m] with margin, and row and column of the grasp in
        them.
    """
    shape = network.shape
    count = len(index)
    side = PATCH_PX + 2 * MARGIN_PX
    turn = samples.angle[index] * (math.pi / shape.angles)
    flip = np.ones((count, 2))
    centre = [side // 2, side // 2]
    if rng is not None:
        turn = turn + rng.uniform(-1, 1, count) * ROTATION_JITTER_RAD
        # The gripper is symmetric about both of its axes.
        flip = rng.choice([-1.0, 1.0], (count, 2))
        # Pooling sees even and odd pixels differently: show it all phases.
        centre = [side // 2 + int(rng.integers(-2, 2)) for _ in range(2)]
    middle = (shape.size_px - 1) / 2
    columns = np.arange(side) - centre[1]
    rows = np.arange(side) - centre[0]
    u = flip[:, 0, None, None] * columns[None, None, :]
    v = flip[:, 1, None, None] * rows[None, :, None]
    # The grasp itself sits where its own angle put it, whatever the jitter is.
    grasp_turn = samples.angle[index] * (math.pi / shape.angles)
    gu, gv = samples.col[index] - middle, samples.row[index] - middle
    gx = gu * np.cos(grasp_turn) - gv * np.sin(grasp_turn)
    gy = gu * np.sin(grasp_turn) + gv * np.cos(grasp_turn)
    cos, sin = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    x = gx[:, None, None] + u * cos - v * sin
    y = gy[:, None, None] + u * sin + v * cos
    grid = np.stack([x, y], -1) * (2.0 / shape.size_px)
    heights = torch.from_numpy(samples.heights_m[samples.scene[index]])[:, None]
    patches = functional.grid_sample(
        heights,
        torch.from_numpy(grid.astype(np.float32)),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    if rng is not None:
        offset = rng.normal(0.0, HEIGHT_JITTER_M, (count, 1, 1, 1))
        patches = patches + torch.from_numpy(offset.astype(np.float32))
    return patches, (centre[0], centre[1])


def compute_logits(
    network: GraspNetwork, patches: Tensor, centre: tuple[int, int]
) -> Tensor:
    """Return the logits at the grasp pixel, (batch, apertures)."""
    tip, engagement = network.finger_heights(patches)
    inner = slice(MARGIN_PX, MARGIN_PX + PATCH_PX)
    logits: Tensor = network.unet(
        patches[..., inner, inner],
        tip[..., inner, inner],
        engagement[..., inner, inner],
    )
    return logits[..., centre[0] - MARGIN_PX, centre[1] - MARGIN_PX]
