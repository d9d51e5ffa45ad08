"""Colour and depth images by casting rays: slower and coarser, but without OpenGL.

Every second pixel in both directions gets a ray. What lies between four rays that hit
the same geom is interpolated in inverse depth, which is exact on planes; elsewhere the
nearest ray counts. Colours are those of the geoms under a lamp at the camera.
"""

from typing import Final

import mujoco
import numba
import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics
from sim2real.virtual_cell.renderer import (
    FAR_M,
    NEAR_M,
    VISIBLE_GROUPS,
    Depth,
    Image,
    ImagerPair,
)

_STRIDE: Final = 2
_AMBIENT: Final = 0.4
_BACKGROUND: Final = 0

Rays = NDArray[np.float64]


class RayRenderer:
    """Satisfies `SceneRenderer` with `mj_multiRay`.

    Both images come from the rays of the depth imager, so the offset between the two
    imagers does not show in colour.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._groups = np.array(VISIBLE_GROUPS, dtype=np.uint8)
        self._rgba = np.empty((model.ngeom, 4))
        self._grids: dict[ImagerPair, _Grid] = {}

    def render(
        self, data: mujoco.MjData, world_from_color: Pose, imagers: ImagerPair
    ) -> tuple[Image, Depth]:
        """Return what both imagers see, see `SceneRenderer`."""
        grid = self._grids.get(imagers)
        if grid is None:
            grid = self._grids[imagers] = _Grid(imagers)
        world_from_depth = world_from_color @ imagers.color_from_depth
        matrix = world_from_depth.as_matrix()
        rays = np.ascontiguousarray(grid.directions @ matrix[:3, :3].T)
        count = len(rays)
        geoms = np.full(count, -1, np.int32)
        ranges, normals = np.empty(count), np.empty((count, 3))
        mujoco.mj_multiRay(
            self._model,
            data,
            np.ascontiguousarray(matrix[:3, 3]),
            rays.ravel(),
            self._groups,
            1,
            -1,
            geoms,
            ranges,
            normals.reshape(-1),
            count,
            FAR_M,
        )
        geoms[ranges < 0] = -1
        lens = imagers.depth
        depth = np.zeros((lens.height_px, lens.width_px), np.float32)
        _fill_depth(
            (ranges * grid.directions[:, 2]).reshape(grid.shape),
            geoms.reshape(grid.shape),
            depth,
        )
        depth[(depth < NEAR_M) | (depth > FAR_M)] = 0.0
        facing = np.abs(np.einsum("ij,ij->i", rays, normals))
        return self._paint(geoms, facing)[grid.color_index], depth

    def _paint(self, geoms: NDArray[np.int32], facing: Rays) -> Image:
        """Return one colour for each ray."""
        shade = _AMBIENT + (1.0 - _AMBIENT) * facing
        colors = self._model.geom_rgba[geoms, :3] * (255.0 * shade)[:, None]
        colors[geoms < 0] = _BACKGROUND
        return np.asarray(np.clip(colors, 0.0, 255.0), dtype=np.uint8)


class _Grid:
    """The rays of one camera, in the optical frame of its depth imager."""

    def __init__(self, imagers: ImagerPair) -> None:
        lens = imagers.depth
        self.shape = (-(-lens.height_px // _STRIDE), -(-lens.width_px // _STRIDE))
        rows, columns = (np.arange(n) * _STRIDE for n in self.shape)
        x = (columns - lens.cx_px) / lens.fx_px
        y = (rows - lens.cy_px) / lens.fy_px
        through = np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), axis=-1)
        unit = through / np.linalg.norm(through, axis=-1, keepdims=True)
        self.directions = unit.reshape(-1, 3)
        self.color_index = _index_colors(imagers.color, lens, self.shape)


def _index_colors(
    color: Intrinsics, depth: Intrinsics, shape: tuple[int, int]
) -> NDArray[np.intp]:
    """Return the nearest ray of every colour pixel."""
    column = (np.arange(color.width_px) - color.cx_px) / color.fx_px
    row = (np.arange(color.height_px) - color.cy_px) / color.fy_px
    x = np.rint((column * depth.fx_px + depth.cx_px) / _STRIDE).astype(np.intp)
    y = np.rint((row * depth.fy_px + depth.cy_px) / _STRIDE).astype(np.intp)
    x, y = np.clip(x, 0, shape[1] - 1), np.clip(y, 0, shape[0] - 1)
    return np.asarray(y[:, None] * shape[1] + x[None, :])


@numba.njit(cache=True)
def _fill_depth(
    z: Rays, geoms: NDArray[np.int32], depth: Depth
) -> None:  # pragma: no cover - compiled
    rows, columns = z.shape
    for v in range(depth.shape[0]):
        top, fy = v // 2, 0.5 * (v % 2)
        bottom = min(top + 1, rows - 1)
        for u in range(depth.shape[1]):
            left, fx = u // 2, 0.5 * (u % 2)
            right = min(left + 1, columns - 1)
            geom = geoms[top, left]
            if geom < 0:
                continue
            if (
                geoms[top, right] == geom
                and geoms[bottom, left] == geom
                and geoms[bottom, right] == geom
            ):
                inverse = (1 - fy) * ((1 - fx) / z[top, left] + fx / z[top, right])
                inverse += fy * ((1 - fx) / z[bottom, left] + fx / z[bottom, right])
                depth[v, u] = 1.0 / inverse
            else:
                depth[v, u] = z[top, left]
