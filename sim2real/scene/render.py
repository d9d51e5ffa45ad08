"""Pictures of a scene for people: shadows on, PNG written without an image library.

Needs an OpenGL library that MuJoCo can use without a window (EGL or OSMesa).
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.scene.build import Scene

_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE_RGB: Final = 2


@dataclass(frozen=True)
class Viewpoint:
    """Where a picture is taken from.

    Attributes:
        look_at_m: point in the middle of the picture, base frame.
        distance_m: from there.
        azimuth_deg: direction of view about the vertical; 90 looks along +y.
        elevation_deg: negative looks down.
        fovy_deg: vertical field of view.
    """

    look_at_m: tuple[float, float, float] = (-0.03, 0.42, 0.25)
    distance_m: float = 2.45
    azimuth_deg: float = 216.0
    elevation_deg: float = -24.0
    fovy_deg: float = 32.0


def render_picture(
    scene: Scene,
    path: Path,
    width: int,
    height: int,
    viewpoint: Viewpoint = Viewpoint(),
) -> None:
    """Render the present state and write it as PNG.

    Args:
        scene: best built with `visual="full"`.
        path: file to write.
        width: of the picture [px].
        height: of the picture [px].
        viewpoint: where from.
    """
    model = scene.model
    model.vis.quality.shadowsize = 8192
    model.vis.quality.offsamples = 8
    model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
    model.vis.global_.offheight = max(model.vis.global_.offheight, height)
    model.vis.global_.fovy = viewpoint.fovy_deg
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.lookat[:] = viewpoint.look_at_m
    camera.distance = viewpoint.distance_m
    camera.azimuth = viewpoint.azimuth_deg
    camera.elevation = viewpoint.elevation_deg
    renderer = mujoco.Renderer(model, height, width)
    try:
        renderer.update_scene(scene.data, camera)
        write_png(path, renderer.render())
    finally:
        renderer.close()


def write_png(path: Path, rgb: NDArray[Any]) -> None:
    """Write an image of shape (height, width, 3), uint8, as PNG."""
    height, width, _ = rgb.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE_RGB, 0, 0, 0)
    path.write_bytes(
        _PNG_HEAD
        + _make_chunk(b"IHDR", header)
        + _make_chunk(b"IDAT", zlib.compress(_filter_rows(rgb), 9))
        + _make_chunk(b"IEND", b"")
    )


def _filter_rows(rgb: NDArray[Any]) -> bytes:
    # PNG filter 2 (difference to the row above) suits smooth renderings.
    rows = rgb.reshape(rgb.shape[0], -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    kinds = np.full((len(rows), 1), 2, np.uint8)
    return np.hstack([kinds, rows - above]).tobytes()


def _make_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
