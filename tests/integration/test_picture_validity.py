"""Healthy pictures of the virtual cell are never taken for useless ones."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cell.contracts.observation import RgbdFrame
from policies.runtime.image_checks import (
    LEAST_CONTRAST,
    SHARPNESS,
    compute_gray,
    compute_sharpness,
    find_color_flaw,
)
from policies.runtime.validity import ValidityWatch
from sim2real.grasping.overhead_view import align_pair
from sim2real.grasping.setup import load_setup
from sim2real.scene.build import build_scene
from sim2real.scene.clutter import drop_parts, settle
from sim2real.scene.parts import sample_parts
from sim2real.virtual_cell.vcamera_optics import (
    make_virtual_camera,
    read_world_from_camera,
)
from tests.fakes.scene_renderer import open_renderer_of

MARGIN = 3.0
FRAMES = 4


@pytest.fixture(scope="module", params=["gl", "rays"])
def pictures(request: pytest.FixtureRequest, repository: Path) -> list[RgbdFrame]:
    """Return frames of the overhead camera over an empty and over a full bin."""
    setup = load_setup(repository / "config.yaml")
    found = []
    for count in (0, 12):
        rng = np.random.default_rng(count)
        scene = build_scene(sample_parts(max(count, 1), rng), setup.geometry)
        if count:
            drop_parts(scene, rng, count)
            settle(scene, 1.0)
        camera = make_virtual_camera(
            "overhead", scene.cameras["overhead"], scene.geometry.overhead
        )
        place = read_world_from_camera(scene.data, camera.camera_id)
        with open_renderer_of(request.param, scene) as renderer:
            pairs = [
                camera.take(renderer, scene.data, number, 0, rng)
                for number in range(FRAMES)
            ]
        found += [align_pair(pair, camera, place) for pair in pairs]
    return found


def blur(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    wide = image.astype(float)
    for axis in (0, 1):
        wide = np.mean([np.roll(wide, k, axis) for k in range(size)], axis=0)
    return np.asarray(wide, dtype=np.uint8)


def test_no_healthy_picture_has_a_flaw(pictures: list[RgbdFrame]) -> None:
    watch = ValidityWatch()

    assert [watch.find_flaws(frame) for frame in pictures] == [{}] * len(pictures)


def test_healthy_pictures_are_far_from_the_thresholds(
    pictures: list[RgbdFrame],
) -> None:
    for frame in pictures:
        gray = compute_gray(frame.rgb)
        low, high = np.percentile(gray[::4, ::4], (2, 98))
        assert high - low > MARGIN * LEAST_CONTRAST
        assert compute_sharpness(gray, float(high - low)) > MARGIN * SHARPNESS
        assert (frame.depth_m > 0).mean() > 0.95


@pytest.mark.parametrize("size_px", [9, 15])
def test_a_picture_out_of_focus_is_found(
    pictures: list[RgbdFrame], size_px: int
) -> None:
    for frame in pictures:
        assert "it is blurred" in find_color_flaw(blur(frame.rgb, size_px))


def test_half_a_picture_is_found(pictures: list[RgbdFrame]) -> None:
    for frame in pictures:
        half = frame.rgb.copy()
        half[120:] = 0
        assert "it is missing (50%)" in find_color_flaw(half)
