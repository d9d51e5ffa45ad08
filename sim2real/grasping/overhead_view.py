"""The overhead camera's frame of a scene, exactly as it reaches a policy in the cell.

Same optics, noise and steps as the virtual camera; the alignment that the camera SDK
does on the way is repeated here, so that no device and no process is needed.
"""

from contextlib import ExitStack
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import RgbdFrame
from cell.drivers.camera.frame_feed import FeedPair
from cell.kinematics.compiled import compiled
from sim2real.scene.build import Scene
from sim2real.virtual_cell.ray_renderer import RayRenderer
from sim2real.virtual_cell.renderer import (
    GlRenderer,
    RendererUnavailableError,
    open_gl_renderer,
)
from sim2real.virtual_cell.vcamera_optics import (
    DEPTH_UNIT_M,
    VirtualCamera,
    make_virtual_camera,
    read_world_from_camera,
)

CAMERA = "overhead"


class OverheadCamera:
    """Takes pictures of one scene after another; a context manager.

    The OpenGL context is made with the first scene and kept; without OpenGL rays are
    cast, which gives slightly coarser edges.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._has_gl: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self._stack.close()

    def look(self, scene: Scene, rng: np.random.Generator) -> RgbdFrame:
        """Return a noisy, aligned frame of the scene's present state."""
        camera = make_virtual_camera(
            CAMERA, scene.cameras[CAMERA], scene.geometry.overhead
        )
        lens = camera.imagers.color
        renderer = self._open(scene, lens.width_px, lens.height_px)
        try:
            pair = camera.take(renderer, scene.data, 1, 0, rng)
        finally:
            if isinstance(renderer, GlRenderer):
                renderer.close()
        return align_pair(
            pair, camera, read_world_from_camera(scene.data, camera.camera_id)
        )

    def _open(
        self, scene: Scene, width_px: int, height_px: int
    ) -> GlRenderer | RayRenderer:
        if self._has_gl is None:
            try:
                self._stack.enter_context(
                    open_gl_renderer(scene.model, width_px, height_px)
                )
                self._has_gl = True
            except RendererUnavailableError:
                self._has_gl = False
        if self._has_gl:
            return GlRenderer(scene.model, width_px, height_px)
        return RayRenderer(scene.model)


def align_pair(
    pair: FeedPair, camera: VirtualCamera, base_from_camera: Pose
) -> RgbdFrame:
    """Return a raw pair as the driver would: depth in the colour image's pixels."""
    lens, depth_lens = camera.imagers.color, camera.imagers.depth
    aligned = np.zeros((lens.height_px, lens.width_px), np.float32)
    _align(
        pair.depth.astype(np.float32) * np.float32(DEPTH_UNIT_M),
        np.array([depth_lens.fx_px, depth_lens.cx_px, depth_lens.cy_px]),
        np.array([lens.fx_px, lens.cx_px, lens.cy_px]),
        camera.imagers.color_from_depth.position_m,
        aligned,
    )
    return RgbdFrame(
        camera=camera.name,
        stamp_ns=1,
        number=pair.number,
        rgb=pair.rgb,
        depth_m=aligned,
        intrinsics=lens,
        base_from_camera=base_from_camera,
    )


@compiled
def _align(
    depth_m: NDArray[np.float32],
    from_lens: NDArray[np.float64],
    to_lens: NDArray[np.float64],
    shift_m: NDArray[np.float64],
    aligned: NDArray[np.float32],
) -> None:
    """Move depth to the colour imager the way librealsense's `align` does.

    Every depth pixel is a square; it covers all colour pixels from the one under its
    first corner to the one under its last, and the nearest depth wins.
    """
    height, width = aligned.shape
    ratio = to_lens[0] / from_lens[0]
    for v in range(depth_m.shape[0]):
        for u in range(depth_m.shape[1]):
            z = depth_m[v, u]
            if z <= 0.0:
                continue
            x_shift = to_lens[0] * shift_m[0] / z + to_lens[1]
            y_shift = to_lens[0] * shift_m[1] / z + to_lens[2]
            left = int((u - 0.5 - from_lens[1]) * ratio + x_shift + 0.5)
            right = int((u + 0.5 - from_lens[1]) * ratio + x_shift + 0.5)
            top = int((v - 0.5 - from_lens[2]) * ratio + y_shift + 0.5)
            bottom = int((v + 0.5 - from_lens[2]) * ratio + y_shift + 0.5)
            if left < 0 or top < 0 or right >= width or bottom >= height:
                continue
            for row in range(top, bottom + 1):
                for col in range(left, right + 1):
                    old = aligned[row, col]
                    if old == 0.0 or z < old:
                        aligned[row, col] = z
