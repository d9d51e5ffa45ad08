"""Both renderers of the virtual cameras, for tests that hold for each of them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sim2real.scene.build import Scene
from sim2real.virtual_cell.ray_renderer import RayRenderer
from sim2real.virtual_cell.renderer import (
    RendererUnavailableError,
    SceneRenderer,
    open_gl_renderer,
)

WIDTH_PX, HEIGHT_PX = 320, 240


@contextmanager
def open_renderer_of(kind: str, scene: Scene) -> Iterator[SceneRenderer]:
    """Open the renderer `gl` or `rays` of a scene."""
    if kind == "rays":
        yield RayRenderer(scene.model)
        return
    with ExitStack() as stack:
        try:
            renderer = stack.enter_context(
                open_gl_renderer(scene.model, WIDTH_PX, HEIGHT_PX)
            )
        except RendererUnavailableError as error:
            # A user who may install no packages has no OpenGL, and the cell casts
            # rays then; the test runs with them. As root, set-up installs it.
            pytest.skip(f"no OpenGL library: {error}")
        yield renderer
