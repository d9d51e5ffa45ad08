"""The heightmap grasp network: rotations, finger heights and a small U-Net.

The same finger geometry is computed in training on patches and in the exported graph
on whole rotated heightmaps, so the network never meets a feature it was not trained on.
Rows of a rotated map run along the tool's y axis, columns along its x axis, in which
the fingers close.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.runtime.fingers import (
    FINGER_CLEARANCE_M,
    FINGER_DEPTH_M,
    FLOOR_CLEARANCE_M,
    ROBOTIQ_2F85,
    FingerGeometry,
)

APERTURES_M = (0.045, 0.065, 0.085)
ANGLES = 16
TOP_REACH_PX = 2

_HEIGHT_SCALE_M = 0.05
_ENGAGEMENT_SCALE_M = 0.03
_FAR_BELOW_M = -1.0
_CELL_PX = 2


@dataclass(frozen=True)
class NetworkShape:
    """Sizes that fix the network.

    Attributes:
        size_px: side of the heightmap.
        pixel_m: size of one pixel.
        angles: rotations over half a turn.
        apertures_m: finger openings, one output channel each.
        widths: channels at half and quarter resolution.
    """

    size_px: int = 96
    pixel_m: float = 0.004
    angles: int = ANGLES
    apertures_m: tuple[float, ...] = APERTURES_M
    widths: tuple[int, int] = (32, 48)


class FingerHeights(nn.Module):
    """Computes how low the fingers may go, for each pixel and aperture."""

    def __init__(self, shape: NetworkShape, fingers: FingerGeometry) -> None:
        super().__init__()
        pixel_m = shape.pixel_m
        self._half_rows = math.ceil(fingers.pad_width_m / 2 / pixel_m - 0.5)
        self._boxes = []
        for aperture_m in shape.apertures_m:
            # Cells of which at least half lies under the finger; the heightmap keeps
            # the highest point of a cell, so edges are already wider than they are.
            near = math.ceil((aperture_m / 2 - pixel_m / 2) / pixel_m)
            far = round((aperture_m / 2 + fingers.pad_thickness_m) / pixel_m)
            self._boxes.append((near, far, fingers.rise_m(aperture_m)))

    def forward(self, heights: Tensor) -> tuple[Tensor, Tensor]:
        """Return tip heights and engagements, each (batch, apertures, rows, columns).

        Args:
            heights: (batch, 1, rows, columns) [m].
        """
        top = functional.max_pool2d(
            heights, 2 * TOP_REACH_PX + 1, stride=1, padding=TOP_REACH_PX
        )
        deepest = (top - FINGER_DEPTH_M).clamp(min=FLOOR_CLEARANCE_M)
        rows = self._half_rows
        banded = functional.max_pool2d(
            heights, (2 * rows + 1, 1), stride=1, padding=(rows, 0)
        )
        tips = []
        for near, far, rise_m in self._boxes:
            under = _max_on_both_sides(banded, near, far)
            tips.append(torch.maximum(deepest, under + FINGER_CLEARANCE_M - rise_m))
        tip = torch.cat(tips, 1)
        return tip, top - tip


class GraspUnet(nn.Module):
    """Scores every pixel of a rotated heightmap, for every aperture.

    Four pixels share one cell of the finest layer and get a channel each at the end:
    layers at full resolution would be most of the cost and see nothing more.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        apertures = len(shape.apertures_m)
        half, quarter = shape.widths
        cell = _CELL_PX**2
        self.half_in = _double((1 + 2 * apertures) * cell, half)
        self.quarter = _double(half, quarter)
        self.up = nn.Conv2d(quarter, half, 1)
        self.half_out = _single(half, half)
        self.head = nn.Conv2d(half, apertures * cell, 1)

    def forward(self, heights: Tensor, tip: Tensor, engagement: Tensor) -> Tensor:
        """Return logits of success, (batch, apertures, rows, columns)."""
        features = torch.cat(
            [
                heights / _HEIGHT_SCALE_M,
                # Where the surroundings lie seen from the finger tips is what decides
                # a grasp; the floor's absolute height matters less.
                (heights - tip) / _HEIGHT_SCALE_M,
                engagement / _ENGAGEMENT_SCALE_M,
            ],
            1,
        ).clamp(-4.0, 4.0)
        half = self.half_in(functional.pixel_unshuffle(features, _CELL_PX))
        quarter = self.up(self.quarter(functional.max_pool2d(half, 2)))
        up = functional.interpolate(quarter, scale_factor=2.0, mode="nearest")
        logits = self.head(self.half_out(half + up))
        return functional.pixel_shuffle(logits, _CELL_PX)


class GraspNetwork(nn.Module):
    """The whole graph: one heightmap in; score and tip height for every grasp out."""

    axis: Tensor
    turn: Tensor

    def __init__(
        self,
        shape: NetworkShape | None = None,
        fingers: FingerGeometry = ROBOTIQ_2F85,
    ) -> None:
        super().__init__()
        self.shape = shape or NetworkShape()
        self.fingers = fingers
        self.finger_heights = FingerHeights(self.shape, fingers)
        self.unet = GraspUnet(self.shape)
        angles = torch.arange(self.shape.angles) * (math.pi / self.shape.angles)
        cos, sin = angles.cos(), angles.sin()
        turn = torch.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)
        self.register_buffer("turn", turn, persistent=False)
        size = self.shape.size_px
        axis = (torch.arange(size) - (size - 1) / 2) * (2.0 / size)
        self.register_buffer("axis", axis, persistent=False)

    def rotate(self, heightmap: Tensor) -> Tensor:
        """Return (angles, 1, rows, columns): the map as each tool yaw sees it."""
        size, angles = self.shape.size_px, self.shape.angles
        axis, turn = self.axis, self.turn
        columns = axis.reshape(1, size).expand(size, size)
        rows = axis.reshape(size, 1).expand(size, size)
        points = torch.stack([columns, rows], -1).reshape(1, size * size, 2)
        grid = torch.matmul(points, turn.transpose(1, 2))
        return functional.grid_sample(
            heightmap.expand(angles, 1, size, size),
            grid.reshape(angles, size, size, 2),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )

    def forward(self, heightmap: Tensor) -> tuple[Tensor, Tensor]:
        """Return score 0..1 and tip height [m], (angles, apertures, rows, columns).

        Args:
            heightmap: (1, 1, size, size) [m] above the bin floor.
        """
        rotated = self.rotate(heightmap)
        tip, engagement = self.finger_heights(rotated)
        return torch.sigmoid(self.unet(rotated, tip, engagement)), tip


def _max_on_both_sides(banded: Tensor, near: int, far: int) -> Tensor:
    """Return the maximum over columns at distance near..far on either side."""
    width = banded.shape[-1]
    padded = functional.pad(banded, (far, far), value=_FAR_BELOW_M)
    left, right = padded[..., : width + far - near], padded[..., far + near :]
    pool = (1, far - near + 1)
    return torch.maximum(
        functional.max_pool2d(left, pool, stride=1),
        functional.max_pool2d(right, pool, stride=1),
    )


def _single(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _double(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        *_single(channels_in, channels_out), *_single(channels_out, channels_out)
    )
