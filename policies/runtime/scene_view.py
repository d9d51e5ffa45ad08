"""What grasp policies look at first: the heightmap, and whether anything is in it."""

from dataclasses import dataclass

import numpy as np

from cell.contracts.observation import Abstain, Modality, Observation
from policies.runtime.heightmap import compute_heightmap
from policies.runtime.workspace import FloatMap, GraspWorkspace

PART_HEIGHT_M = 0.008
"""Lower than this above the bin's surface nothing counts as a part."""

PART_AREA_M2 = 1.6e-4
"""Less area than this is noise; the smallest part covers four times as much."""

SEEN_RATIO_MIN = 0.6
"""Less of the bin than this in view: the camera is covered or blind."""


@dataclass(frozen=True, eq=False)
class SceneView:
    """The bin as one camera frame shows it.

    Attributes:
        stamp_ns: of the frame.
        heights_m: heightmap, shape (n, n) [m] above the bin floor.
        above_bin_m: the same above the empty bin's surface, 0 outside the bin.
    """

    stamp_ns: int
    heights_m: FloatMap
    above_bin_m: FloatMap


class BinViewer:
    """Turns observations into scene views. Owns the empty bin's own shape."""

    def __init__(self, workspace: GraspWorkspace, camera: str) -> None:
        self._workspace = workspace
        self._camera = camera
        self._bin = workspace.bin_heights_m()
        self._inside = workspace.inside_opening()

    def look(self, observation: Observation, model: str) -> SceneView | Abstain:
        """Compute the view, or say why there is nothing to look at."""
        frame = observation.frames.get(self._camera)
        if frame is None or not observation.valid.get(Modality.DEPTH, False):
            return Abstain(
                observation.stamp_ns,
                f"no depth from camera {self._camera}",
                model,
                is_blind=True,
            )
        heights, seen_ratio = compute_heightmap(
            frame, self._workspace.base_from_bin, self._workspace.grid
        )
        if seen_ratio < SEEN_RATIO_MIN:
            return Abstain(
                frame.stamp_ns,
                f"camera {self._camera} sees only {seen_ratio:.0%} of the bin",
                model,
                is_blind=True,
            )
        above = np.where(self._inside, heights - self._bin, np.float32(0.0))
        area_m2 = (
            np.count_nonzero(above > PART_HEIGHT_M) * self._workspace.grid.pixel_m**2
        )
        if area_m2 < PART_AREA_M2:
            return Abstain(frame.stamp_ns, "the bin is empty", model, is_bin_empty=True)
        return SceneView(frame.stamp_ns, heights, above)
