"""Grasp candidates: keep the best ones that lie apart, turn them into action chunks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep
from policies.runtime.grid_search import choose_apart
from policies.runtime.part_width import measure_width_m
from policies.runtime.workspace import FloatMap, GraspWorkspace

MAX_CANDIDATES = 5
SEPARATION_M = 0.03
EXCLUSION_M = 0.025
ALTERNATIVE_RATIO = 0.5

Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Grasps as columns of equal length, in the bin frame.

    Attributes:
        x_m: tool centre point.
        y_m: tool centre point.
        yaw_rad: direction along which the fingers close.
        aperture_m: opening on the way down.
        tip_m: height of the closed finger tips above the bin floor.
        score: probability of success, 0..1.
    """

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    yaw_rad: NDArray[np.float64]
    aperture_m: NDArray[np.float64]
    tip_m: NDArray[np.float64]
    score: NDArray[np.float64]


def select_apart(
    candidates: Candidates, exclude_bin_m: Sequence[Point], count: int = MAX_CANDIDATES
) -> list[int]:
    """Return indices of the best candidates that lie apart, best first.

    Candidates far worse than the best one are left out.

    Args:
        candidates: any number of them.
        exclude_bin_m: points in the bin frame near which nothing is selected.
        count: how many at most.
    """
    chosen = choose_apart(
        candidates.score,
        candidates.x_m,
        candidates.y_m,
        np.array(exclude_bin_m, dtype=np.float64).reshape(-1, 2),
        (SEPARATION_M, EXCLUSION_M),
        (count, ALTERNATIVE_RATIO),
    )
    return [int(index) for index in chosen]


def make_chunk(
    candidates: Candidates,
    chosen: Sequence[int],
    workspace: GraspWorkspace,
    observed_stamp_ns: int,
    model: str,
    heights_m: FloatMap | None = None,
) -> ActionChunk:
    """Build the chunk of the best choice, with the others as its alternatives.

    Args:
        candidates: columns the indices refer to.
        chosen: at least one index, best first.
        workspace: bin and tool.
        observed_stamp_ns: stamp of the observation.
        model: name and version for the record.
        heights_m: heightmap that the candidates were found on; with it, the chunks say
            how wide the part is.
    """
    chunks = [
        ActionChunk(
            observed_stamp_ns=observed_stamp_ns,
            steps=_steps(candidates, index, workspace),
            score=float(candidates.score[index]),
            model=model,
            details=_describe(candidates, index, workspace, heights_m),
        )
        for index in chosen
    ]
    best = chunks[0]
    return ActionChunk(
        best.observed_stamp_ns,
        best.steps,
        best.score,
        best.model,
        alternatives=tuple(chunks[1:]),
        details=best.details,
    )


def _describe(
    candidates: Candidates,
    index: int,
    workspace: GraspWorkspace,
    heights_m: FloatMap | None,
) -> dict[str, float]:
    aperture_m, tip_m = candidates.aperture_m[index], candidates.tip_m[index]
    details = {"aperture_m": float(aperture_m), "tip_m": float(tip_m)}
    if heights_m is not None:
        details["width_m"] = measure_width_m(
            heights_m,
            workspace.grid,
            (float(candidates.x_m[index]), float(candidates.y_m[index])),
            float(candidates.yaw_rad[index]),
            float(aperture_m),
            float(tip_m),
        )
    return details


def exclude_in_bin(
    exclude_base_m: Sequence[Point], workspace: GraspWorkspace
) -> list[Point]:
    """Map points from the base frame's xy plane into the bin frame's."""
    bin_from_base = workspace.base_from_bin.inverse()
    floor_z_m = float(workspace.base_from_bin.position_m[2])
    points = [
        bin_from_base.apply(np.array([x, y, floor_z_m])) for x, y in exclude_base_m
    ]
    return [(float(point[0]), float(point[1])) for point in points]


def _steps(
    candidates: Candidates, index: int, workspace: GraspWorkspace
) -> tuple[ActionStep, ...]:
    tcp_above_tip_m = workspace.fingers.closed_tip_m - workspace.flange_to_tcp_m
    height_m = float(candidates.tip_m[index]) + tcp_above_tip_m
    yaw_rad = _nearest_half_turn(
        float(candidates.yaw_rad[index]), workspace.preferred_yaw_rad
    )
    aperture_m = float(candidates.aperture_m[index])
    x_m, y_m = float(candidates.x_m[index]), float(candidates.y_m[index])

    base_from_bin = workspace.base_from_bin
    grasp = base_from_bin @ Pose.tool_down((x_m, y_m, height_m), yaw_rad)
    above_m = base_from_bin.apply(
        np.array([x_m, y_m, height_m + workspace.approach_height_m])
    )
    pregrasp = Pose(above_m, grasp.quat_wxyz)
    return ActionStep(pregrasp, aperture_m), ActionStep(grasp, aperture_m)


def _nearest_half_turn(yaw_rad: float, preferred_rad: float) -> float:
    return yaw_rad - math.pi * round((yaw_rad - preferred_rad) / math.pi)
