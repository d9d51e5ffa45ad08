"""Noise-free colour and depth images of a MuJoCo scene, by OpenGL without a window.

An RGB-D camera has two imagers with lenses of their own; both are rendered from where
they are. Depth is the distance along the optical axis, as a depth camera gives it.
Shadows and multisampling are off: they are nine tenths of the cost and of no use here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics

NEAR_M: Final = 0.02
FAR_M: Final = 6.0
"""What lies beyond is no depth."""

VISIBLE_GROUPS: Final = (1, 1, 1, 0, 0, 0)
"""Groups of geoms that cameras see; the others only collide."""

_MAX_GEOMS: Final = 2000

Image = NDArray[np.uint8]
Depth = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImagerPair:
    """The optics of one RGB-D camera.

    Attributes:
        color: lens of the colour imager.
        depth: lens of the depth imager.
        color_from_depth: where the depth imager sits in the optical frame of colour.
    """

    color: Intrinsics
    depth: Intrinsics
    color_from_depth: Pose


class SceneRenderer(Protocol):
    """Anything that takes pictures of a scene.

    Attributes:
        rate_ratio: share of the cameras' rate that it can hold on a busy machine.
    """

    rate_ratio: float

    def render(
        self, data: mujoco.MjData, world_from_color: Pose, imagers: ImagerPair
    ) -> tuple[Image, Depth]:
        """Return what both imagers see; depth is 0 where there is nothing in range.

        Args:
            data: state with positions computed.
            world_from_color: optical frame of the colour imager in the world.
            imagers: the optics.
        """
        ...


class RendererUnavailableError(Exception):
    """This machine has no OpenGL library that works without a window."""


class GlRenderer:
    """Satisfies `SceneRenderer` with the current OpenGL context."""

    rate_ratio = 1.0

    def __init__(self, model: mujoco.MjModel, width_px: int, height_px: int) -> None:
        """Take the size of the largest image; the context must be current."""
        model.vis.quality.shadowsize = 0
        model.vis.quality.offsamples = 0
        model.vis.global_.offwidth = max(width_px, 16)
        model.vis.global_.offheight = max(height_px, 16)
        self._model = model
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        for flag in (
            mujoco.mjtRndFlag.mjRND_SHADOW,
            mujoco.mjtRndFlag.mjRND_REFLECTION,
        ):
            self._scene.flags[flag] = 0
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = VISIBLE_GROUPS
        self._camera = mujoco.MjvCamera()
        self._context = mujoco.MjrContext(
            model, mujoco.mjtFontScale.mjFONTSCALE_100.value
        )
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR

    def render(
        self, data: mujoco.MjData, world_from_color: Pose, imagers: ImagerPair
    ) -> tuple[Image, Depth]:
        """Return what both imagers see, see `SceneRenderer`."""
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        self._aim(world_from_color, imagers.color)
        rgb = np.empty((imagers.color.height_px, imagers.color.width_px, 3), np.uint8)
        self._draw(imagers.color, rgb, None)
        self._aim(world_from_color @ imagers.color_from_depth, imagers.depth)
        depth = np.empty((imagers.depth.height_px, imagers.depth.width_px), np.float32)
        # Flat colours: depth needs no light.
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = 1
        self._draw(imagers.depth, None, depth)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = 0
        # OpenGL's images start at the bottom.
        return np.ascontiguousarray(rgb[::-1]), _linearise(depth[::-1])

    def close(self) -> None:
        """Release the buffers; the context must still be current."""
        self._context.free()

    def _draw(self, lens: Intrinsics, rgb: Image | None, depth: Depth | None) -> None:
        viewport = mujoco.MjrRect(0, 0, lens.width_px, lens.height_px)
        mujoco.mjr_render(viewport, self._scene, self._context)
        mujoco.mjr_readPixels(rgb, depth, viewport, self._context)

    def _aim(self, world_from_camera: Pose, lens: Intrinsics) -> None:
        matrix = world_from_camera.as_matrix()
        scale = NEAR_M / lens.fy_px
        for camera in self._scene.camera:  # both eyes of the scene's stereo pair
            camera.pos = matrix[:3, 3]
            camera.forward = matrix[:3, 2]
            camera.up = -matrix[:3, 1]
            camera.orthographic = 0
            # Intrinsics measure from the centre of the first pixel, OpenGL its edge.
            camera.frustum_top = scale * (lens.cy_px + 0.5)
            camera.frustum_bottom = -scale * (lens.height_px - 0.5 - lens.cy_px)
            camera.frustum_center = scale * ((lens.width_px - 1) / 2 - lens.cx_px)
            camera.frustum_near = NEAR_M
            camera.frustum_far = FAR_M
        for light in self._scene.lights[: self._scene.nlight]:
            if light.headlight:  # the lamp of the camera
                light.pos = matrix[:3, 3]
                light.dir = matrix[:3, 2]


@contextmanager
def open_gl_renderer(
    model: mujoco.MjModel, width_px: int, height_px: int
) -> Iterator[GlRenderer]:
    """Create a context without a window and a renderer in it.

    Args:
        model: its quality settings are changed: no shadows, no multisampling.
        width_px: of the largest image.
        height_px: of the largest image.

    Raises:
        RendererUnavailableError: there is no OpenGL here; the message says why.
    """
    context = _make_context(width_px, height_px)
    try:
        context.make_current()
        renderer = GlRenderer(model, width_px, height_px)
        try:
            yield renderer
        finally:
            renderer.close()
    finally:
        context.free()


def _make_context(width_px: int, height_px: int) -> Any:
    try:
        # Importing it loads libEGL, which need not be there.
        from mujoco.egl import GLContext

        return GLContext(width_px, height_px)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise RendererUnavailableError(str(error)) from error


def _linearise(buffer: Depth) -> Depth:
    """Turn a reversed depth buffer (1 near, 0 far) into distances [m], 0 for none."""
    far = np.float32(FAR_M)
    depth = np.float32(NEAR_M) * far / (np.float32(NEAR_M) + buffer * (far - NEAR_M))
    depth[buffer <= 0.0] = 0.0
    return np.asarray(depth, dtype=np.float32)
