"""The heightmap grasp network as a policy.

Rotation, finger heights and scores all happen inside the network's graph; this module
projects the depth image, masks what the bin forbids, and picks.
"""

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ModelError, PolicyError
from cell.contracts.observation import Abstain, ActionChunk, Modality, Observation
from cell.contracts.runtime import TensorSession
from policies.manifest import Manifest
from policies.runtime.candidates import (
    ALTERNATIVE_RATIO,
    EXCLUSION_M,
    MAX_CANDIDATES,
    SEPARATION_M,
    Candidates,
    Point,
    exclude_in_bin,
    make_chunk,
)
from policies.runtime.grid_search import (
    choose_apart,
    collect_allowed,
    count_unsound,
)
from policies.runtime.scene_novelty import NoveltyGauge
from policies.runtime.scene_view import BinViewer, SceneView
from policies.runtime.workspace import GraspWorkspace

INPUT_NAME = "heightmap"
SCORE_NAME = "score"
TIP_NAME = "tip"

_BEYOND_ALL: Final = sys.float_info.max
"""What is told of a score that is no number: those do not travel to the supervisor."""

_NEEDS = frozenset({Modality.DEPTH})


class HeightmapPolicy:
    """Proposes the top-down grasp that the network believes in most.

    Implements `cell.contracts.runtime.GraspPolicy`.
    """

    def __init__(
        self,
        manifest: Manifest,
        session: TensorSession,
        workspace: GraspWorkspace,
        minimum_score: float,
        camera: str = "overhead",
    ) -> None:
        """Precompute what the grid, the angles and the bin fix once and for all.

        Raises:
            ModelError: the model was made for another grid, gripper or set of tensors.
        """
        _check_fits(manifest, workspace)
        self._name = f"{manifest.name}-{manifest.version}"
        self._session = session
        self._workspace = workspace
        self._minimum_score = minimum_score
        self._viewer = BinViewer(workspace, camera)
        novelty = manifest.novelty
        self._gauge = None if novelty is None else NoveltyGauge(novelty)
        grid = manifest.grid
        self._apertures_m = np.array(grid.apertures_m)
        self._yaws_rad = np.arange(grid.angles) * np.pi / grid.angles
        self._x_m, self._y_m = _rotated_centres(workspace, self._yaws_rad)
        self._lowest_tip_m = self._compute_lowest_tips()

    @property
    def name(self) -> str:
        """Name and version for the record."""
        return self._name

    @property
    def workspace(self) -> GraspWorkspace:
        """The bin and the tool it plans for."""
        return self._workspace

    @property
    def viewer(self) -> BinViewer:
        """What turns observations into heightmaps."""
        return self._viewer

    @property
    def apertures_m(self) -> NDArray[np.float64]:
        """Finger openings, one for each output channel."""
        return self._apertures_m

    @property
    def needs(self) -> frozenset[Modality]:
        """The modalities without which it is blind."""
        return _NEEDS

    def propose(self, observation: Observation) -> ActionChunk | Abstain:
        """Answer one observation.

        Raises:
            PolicyError: as for `propose_except`.
        """
        return self.propose_except(observation, ())

    def propose_except(
        self, observation: Observation, exclude_base_m: Sequence[Point]
    ) -> ActionChunk | Abstain:
        """Answer one observation, staying away from some points in base xy [m].

        Raises:
            PolicyError: the network failed, or answered with something else than
                probabilities and heights.
        """
        view = self._viewer.look(observation, self._name)
        if isinstance(view, Abstain):
            return view
        score, tip_m = self._ask_network(view.heights_m)
        # Whatever it says, everything is computed: the made-up view that the policy is
        # warmed up with is a novel one.
        novel = self._find_novelty(view)
        candidates = self._choose(
            score, tip_m, exclude_in_bin(exclude_base_m, self._workspace)
        )
        if not len(candidates.score):
            return novel or Abstain(
                view.stamp_ns, f"no score above {self._minimum_score:.2f}", self._name
            )
        best_first = range(len(candidates.score))
        chunk = make_chunk(
            candidates,
            best_first,
            self._workspace,
            view.stamp_ns,
            self._name,
            view.heights_m,
        )
        return novel or chunk

    def _find_novelty(self, view: SceneView) -> Abstain | None:
        """Return why a picture is not answered that is unlike the training inputs."""
        gauge = self._gauge
        if gauge is None:
            return None
        score = gauge.compute_score(view.heights_m)
        if not gauge.is_novel(score):
            return None
        return Abstain(
            view.stamp_ns,
            f"unlike its training inputs: {score:.1f}, at most {gauge.threshold:.1f}",
            self._name,
            novelty=score if np.isfinite(score) else _BEYOND_ALL,
            novelty_limit=gauge.threshold,
        )

    def run_network(
        self, heights_m: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return score and tip height for angle, aperture, row, column.

        Scores of grasps that the bin's walls forbid are 0.

        Raises:
            PolicyError: as for `propose_except`.
        """
        score, tip_m = self._ask_network(heights_m)
        return np.where(tip_m >= self._lowest_tip_m, score, np.float32(0)), tip_m

    def pick(
        self,
        index: NDArray[np.intp],
        score: NDArray[np.float32],
        tip_m: NDArray[np.float32],
    ) -> Candidates:
        """Return the candidates behind flat indices into the network's answer."""
        angle, aperture, row, col = np.unravel_index(index, score.shape)
        return Candidates(
            x_m=self._x_m[angle, row, col],
            y_m=self._y_m[angle, row, col],
            yaw_rad=self._yaws_rad[angle],
            aperture_m=self._apertures_m[aperture],
            tip_m=tip_m.reshape(-1)[index].astype(np.float64),
            score=score.reshape(-1)[index].astype(np.float64),
        )

    def nearest_cell(
        self, x_m: float, y_m: float, yaw_rad: float, aperture_m: float
    ) -> tuple[int, int, int, int]:
        """Return angle, aperture, row and column nearest to a grasp in the bin."""
        angles, grid = len(self._yaws_rad), self._workspace.grid
        angle = round(yaw_rad * angles / np.pi) % angles
        cos, sin = np.cos(self._yaws_rad[angle]), np.sin(self._yaws_rad[angle])
        middle, last = (grid.size_px - 1) / 2, grid.size_px - 1
        col = round((x_m * cos + y_m * sin) / grid.pixel_m + middle)
        row = round((y_m * cos - x_m * sin) / grid.pixel_m + middle)
        aperture = int(np.argmin(np.abs(self._apertures_m - aperture_m)))
        return angle, aperture, min(max(row, 0), last), min(max(col, 0), last)

    def _ask_network(
        self, heights_m: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outputs = self._session.run({INPUT_NAME: heights_m[None, None]})
        score, tip_m = outputs[SCORE_NAME], outputs[TIP_NAME]
        # One bad number condemns the whole answer: a network that computes nonsense
        # in one place is not to be believed in another.
        unsound = count_unsound(score.reshape(-1), tip_m.reshape(-1))
        if unsound:
            raise PolicyError(
                f"{self._name} answered with {unsound} of {score.size} values that are "
                "no probability or no height"
            )
        return score, tip_m

    def _choose(
        self,
        score: NDArray[np.float32],
        tip_m: NDArray[np.float32],
        exclude_bin_m: Sequence[Point],
    ) -> Candidates:
        """Return a few of the best grasps that lie apart, best first."""
        index = collect_allowed(
            score.reshape(-1),
            tip_m.reshape(-1),
            self._lowest_tip_m.reshape(-1),
            self._minimum_score,
            ALTERNATIVE_RATIO,
        )
        # Positions depend on angle, row and column, not on the aperture.
        cells = self._workspace.grid.size_px**2
        place = index // (cells * len(self._apertures_m)) * cells + index % cells
        chosen = choose_apart(
            score.reshape(-1)[index].astype(np.float64),
            self._x_m.reshape(-1)[place],
            self._y_m.reshape(-1)[place],
            np.array(exclude_bin_m, dtype=np.float64).reshape(-1, 2),
            (SEPARATION_M, EXCLUSION_M),
            (MAX_CANDIDATES, ALTERNATIVE_RATIO),
        )
        return self.pick(index[chosen], score, tip_m)

    def _compute_lowest_tips(self) -> NDArray[np.float32]:
        workspace = self._workspace
        half_x, half_y = workspace.opening_half_m()
        lowest = np.empty(
            (len(self._yaws_rad), len(self._apertures_m), *self._x_m.shape[1:]),
            np.float32,
        )
        for k, yaw_rad in enumerate(self._yaws_rad):
            outside = (np.abs(self._x_m[k]) > half_x) | (np.abs(self._y_m[k]) > half_y)
            for a, aperture_m in enumerate(self._apertures_m):
                tips = workspace.compute_lowest_tips_m(
                    self._x_m[k], self._y_m[k], float(yaw_rad), float(aperture_m)
                )
                lowest[k, a] = np.where(outside, np.inf, tips)
        return lowest


def _rotated_centres(
    workspace: GraspWorkspace, yaws_rad: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    centres = workspace.grid.centres_m()
    u, v = np.meshgrid(centres, centres)
    cos, sin = np.cos(yaws_rad)[:, None, None], np.sin(yaws_rad)[:, None, None]
    return u * cos - v * sin, u * sin + v * cos


def _check_fits(manifest: Manifest, workspace: GraspWorkspace) -> None:
    grid, wanted = manifest.grid, workspace.grid
    label = f"model {manifest.name}-{manifest.version}"
    if grid.size_px != wanted.size_px or abs(grid.pixel_m - wanted.pixel_m) > 1e-9:
        raise ModelError(
            f"{label} was trained for {grid.size_px} pixels of {grid.pixel_m} m, "
            f"cell.heightmap says {wanted.size_px} of {wanted.pixel_m} m"
        )
    if abs(grid.closed_tip_m - workspace.fingers.closed_tip_m) > 0.002:
        raise ModelError(
            f"{label} was trained for finger tips {grid.closed_tip_m} m from the "
            f"flange, this gripper has {workspace.fingers.closed_tip_m} m"
        )
    maps = (grid.angles, len(grid.apertures_m), grid.size_px, grid.size_px)
    shapes = {
        INPUT_NAME: (1, 1, grid.size_px, grid.size_px),
        SCORE_NAME: maps,
        TIP_NAME: maps,
    }
    found = {spec.name: spec.shape for spec in (*manifest.inputs, *manifest.outputs)}
    if found != shapes:
        raise ModelError(f"{label}: tensors {found} do not fit its grid, want {shapes}")
