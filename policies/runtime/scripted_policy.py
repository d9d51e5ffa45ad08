"""The conservative fallback: picks by geometry alone, without any network.

It prefers high parts with free sides that the fingers can straddle squarely, and
abstains rather than squeeze in. Its score orders grasps; it is no probability.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cell.contracts.observation import Abstain, ActionChunk, Modality, Observation
from cell.kinematics.compiled import compiled
from policies.runtime.candidates import (
    Candidates,
    Point,
    exclude_in_bin,
    make_chunk,
    select_apart,
)
from policies.runtime.fingers import (
    FINGER_CLEARANCE_M,
    FINGER_DEPTH_M,
    FLOOR_CLEARANCE_M,
)
from policies.runtime.scene_view import PART_HEIGHT_M, BinViewer
from policies.runtime.workspace import FloatMap, GraspWorkspace

NAME = "scripted-1"
ANGLES = 16
APERTURES_M = (0.045, 0.065, 0.085)

_NEEDS = frozenset({Modality.DEPTH})
_STEP_M = 0.002
_ROWS = 5
# Squeezing wider parts needs more room than position and camera errors leave.
_SIDE_MARGIN_M = 0.005
# The pads hold at this height above the closed tips.
_GRIP_RISE_M = 0.008
_ENGAGEMENT_MIN_M = 0.010


class ScriptedPolicy:
    """Proposes the grasp that geometry likes best.

    Implements `cell.contracts.runtime.GraspPolicy`.
    """

    def __init__(
        self, workspace: GraspWorkspace, minimum_score: float, camera: str = "overhead"
    ) -> None:
        self._workspace = workspace
        self._minimum_score = minimum_score
        self._viewer = BinViewer(workspace, camera)
        self._apertures_m = np.array(APERTURES_M)
        self._rises_m = np.array([workspace.fingers.rise_m(a) for a in APERTURES_M])
        self._yaws_rad = np.arange(ANGLES) * np.pi / ANGLES

    @property
    def name(self) -> str:
        """Name and version for the record."""
        return NAME

    @property
    def needs(self) -> frozenset[Modality]:
        """The modalities without which it is blind."""
        return _NEEDS

    def propose(self, observation: Observation) -> ActionChunk | Abstain:
        """Answer one observation."""
        return self.propose_except(observation, ())

    def propose_except(
        self, observation: Observation, exclude_base_m: Sequence[Point]
    ) -> ActionChunk | Abstain:
        """Answer one observation, staying away from some points in base xy [m]."""
        view = self._viewer.look(observation, NAME)
        if isinstance(view, Abstain):
            return view
        candidates = self.find_grasps(view.heights_m, view.above_bin_m)
        chosen = select_apart(
            candidates, exclude_in_bin(exclude_base_m, self._workspace)
        )
        if not chosen:
            return Abstain(view.stamp_ns, "no part with free sides", NAME)
        return make_chunk(
            candidates,
            chosen,
            self._workspace,
            view.stamp_ns,
            NAME,
            view.heights_m,
        )

    def find_grasps(self, heights_m: FloatMap, above_bin_m: FloatMap) -> Candidates:
        """Return at most one grasp for each cell that shows a part.

        Args:
            heights_m: heightmap, shape (n, n) [m] above the bin floor.
            above_bin_m: the same above the empty bin's surface.
        """
        grid, fingers = self._workspace.grid, self._workspace.fingers
        cells = np.argwhere(above_bin_m > PART_HEIGHT_M)
        found = np.zeros((len(cells), 4))
        _search(
            np.ascontiguousarray(heights_m, dtype=np.float32),
            cells,
            grid.pixel_m,
            self._yaws_rad,
            self._apertures_m,
            self._rises_m,
            np.array([fingers.pad_width_m / 2, fingers.pad_thickness_m]),
            found,
        )
        centres = grid.centres_m()
        every = Candidates(
            x_m=centres[cells[:, 1]],
            y_m=centres[cells[:, 0]],
            yaw_rad=found[:, 1],
            aperture_m=found[:, 2],
            tip_m=found[:, 3],
            score=found[:, 0],
        )
        return self._keep_allowed(every)

    def _keep_allowed(self, every: Candidates) -> Candidates:
        keep = every.score >= self._minimum_score
        for index in np.flatnonzero(keep):
            lowest = self._workspace.compute_lowest_tips_m(
                every.x_m[index : index + 1],
                every.y_m[index : index + 1],
                float(every.yaw_rad[index]),
                float(every.aperture_m[index]),
            )
            keep[index] = every.tip_m[index] >= lowest[0]
        columns = (
            every.x_m,
            every.y_m,
            every.yaw_rad,
            every.aperture_m,
            every.tip_m,
            every.score,
        )
        return Candidates(*(column[keep] for column in columns))


@compiled
def _height_at(heights: FloatMap, pixel_m: float, x_m: float, y_m: float) -> float:
    size = heights.shape[0]
    col = int(np.floor(x_m / pixel_m + 0.5 * size))
    row = int(np.floor(y_m / pixel_m + 0.5 * size))
    if 0 <= row < size and 0 <= col < size:
        return float(heights[row, col])
    # Beyond the map may be anything: as good as a wall.
    return 1.0


@compiled
def _extent(
    heights: FloatMap,
    pixel_m: float,
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    level_m: float,
) -> float:
    """Return how far the part reaches from `start` along `direction` above a level."""
    reach = 0.0
    while reach < 0.05:
        ahead = reach + _STEP_M
        height = _height_at(
            heights,
            pixel_m,
            start[0] + ahead * direction[0],
            start[1] + ahead * direction[1],
        )
        if height < level_m:
            break
        reach = ahead
    return reach


@compiled
def _highest_under_finger(
    heights: FloatMap,
    pixel_m: float,
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    near_m: float,
    far_m: float,
) -> float:
    highest = -1.0
    reach = near_m
    while reach <= far_m:
        height = _height_at(
            heights,
            pixel_m,
            start[0] + reach * direction[0],
            start[1] + reach * direction[1],
        )
        highest = max(highest, height)
        reach += _STEP_M
    return highest


@compiled
def _score_grasp(
    heights: FloatMap,
    pixel_m: float,
    centre: NDArray[np.float64],
    yaw_rad: float,
    aperture_m: float,
    rise_m: float,
    pad: NDArray[np.float64],
) -> tuple[float, float]:
    """Return (score, closed tip height) of one grasp; score 0 when it is no good."""
    u = np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
    v = np.array([-u[1], u[0]])
    top = _height_at(heights, pixel_m, centre[0], centre[1])
    tip = max(FLOOR_CLEARANCE_M, top - FINGER_DEPTH_M)
    rows = np.linspace(-pad[0], pad[0], _ROWS)
    for i in range(_ROWS):
        start = centre + rows[i] * v
        for side in (-1.0, 1.0):
            under = _highest_under_finger(
                heights,
                pixel_m,
                start,
                side * u,
                aperture_m / 2 - 0.002,
                aperture_m / 2 + pad[1],
            )
            tip = max(tip, under + FINGER_CLEARANCE_M - rise_m)
    engagement = top - tip
    if engagement < _ENGAGEMENT_MIN_M:
        return 0.0, tip
    level = tip + min(_GRIP_RISE_M, 0.6 * engagement)
    widest, lopsided = 0.0, 0.0
    slanted = 0.0
    for side in (-1.0, 1.0):
        far, near = 0.0, 1.0
        for i in range(_ROWS):
            start = centre + rows[i] * v
            if _height_at(heights, pixel_m, start[0], start[1]) < level:
                continue
            reach = _extent(heights, pixel_m, start, side * u, level)
            far, near = max(far, reach), min(near, reach)
        widest = max(widest, far)
        lopsided = abs(far - lopsided)
        # A face that runs away from the pad, such as a corner, slips out of the grip.
        slanted = max(slanted, far - near)
    along = _extent(heights, pixel_m, centre, v, level)
    off_centre = abs(along - _extent(heights, pixel_m, centre, -v, level)) / 2
    room = aperture_m / 2 - _SIDE_MARGIN_M - widest
    if room < 0.0 or widest < 0.006:
        return 0.0, tip
    square = np.exp(-lopsided / 0.012 - slanted / 0.010 - off_centre / 0.030)
    deep = min(1.0, engagement / 0.025)
    roomy = 0.7 + 0.3 * min(1.0, room / 0.008)
    return square * deep * roomy, tip


@compiled
def _support(
    heights: FloatMap,
    pixel_m: float,
    centre: NDArray[np.float64],
    yaw_rad: float,
    pad: NDArray[np.float64],
) -> float:
    """Return the share of the pad's width over which the part is present, 0..1."""
    top = _height_at(heights, pixel_m, centre[0], centre[1])
    present = 0
    for i in range(9):
        offset = (i - 4) / 4.0 * pad[0]
        height = _height_at(
            heights,
            pixel_m,
            centre[0] - offset * np.sin(yaw_rad),
            centre[1] + offset * np.cos(yaw_rad),
        )
        if abs(height - top) < 0.012:
            present += 1
    return present / 9.0


@compiled
def _search(
    heights: FloatMap,
    cells: NDArray[np.intp],
    pixel_m: float,
    yaws_rad: NDArray[np.float64],
    apertures_m: NDArray[np.float64],
    rises_m: NDArray[np.float64],
    pad: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    size = heights.shape[0]
    highest = 1e-3
    for i in range(cells.shape[0]):
        highest = max(highest, heights[cells[i, 0], cells[i, 1]])
    for i in range(cells.shape[0]):
        row, col = cells[i, 0], cells[i, 1]
        if (row + col) % 2:
            # Every other cell is dense enough, and half the work.
            continue
        centre = np.array(
            [(col - (size - 1) / 2) * pixel_m, (row - (size - 1) / 2) * pixel_m]
        )
        high = 0.8 + 0.2 * heights[row, col] / highest
        for k in range(yaws_rad.shape[0]):
            width = _support(heights, pixel_m, centre, yaws_rad[k], pad)
            for a in range(apertures_m.shape[0]):
                score, tip = _score_grasp(
                    heights,
                    pixel_m,
                    centre,
                    yaws_rad[k],
                    apertures_m[a],
                    rises_m[a],
                    pad,
                )
                score *= high * (0.4 + 0.6 * width)
                if score > found[i, 0]:
                    found[i, 0] = score
                    found[i, 1] = yaws_rad[k]
                    found[i, 2] = apertures_m[a]
                    found[i, 3] = tip
