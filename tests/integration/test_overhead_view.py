"""What training sees is what the camera driver delivers in the cell."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cell.config import PoseConfig, SoftwareCameraConfig
from cell.drivers.camera.frame_feed import FeedPair, encode_greeting
from cell.drivers.camera.opening import open_camera
from policies.runtime.heightmap import compute_heightmap
from sim2real.grasping.overhead_view import OverheadCamera, align_pair
from sim2real.grasping.setup import load_setup
from sim2real.scene.build import build_scene
from sim2real.scene.clutter import drop_parts, settle
from sim2real.scene.parts import sample_parts
from sim2real.virtual_cell.ray_renderer import RayRenderer
from sim2real.virtual_cell.vcamera_optics import (
    make_virtual_camera,
    read_world_from_camera,
)
from tests.fakes.frame_sender import RATE_HZ, open_sender


def test_our_alignment_equals_that_of_the_camera_sdk(repository: Path) -> None:
    setup = load_setup(repository / "config.yaml")
    rng = np.random.default_rng(3)
    scene = build_scene(sample_parts(8, rng), setup.geometry)
    drop_parts(scene, rng, 8)
    settle(scene, 1.0)
    camera = make_virtual_camera(
        "overhead", scene.cameras["overhead"], scene.geometry.overhead
    )
    pair = camera.take(RayRenderer(scene.model), scene.data, 1, 0, rng)

    def send(number: int) -> FeedPair:
        # The driver takes depth that never changes for that of a frozen camera. The
        # upper edge of the image lies outside of the heightmap.
        steps = pair.depth.copy()
        steps[:10] += np.uint16(number % 3)
        return replace(
            pair,
            number=number,
            device_time_us=time.monotonic_ns() // 1000,
            depth=steps,
        )

    base_from_camera = read_world_from_camera(scene.data, camera.camera_id)
    greeting = encode_greeting(camera.make_greeting(RATE_HZ))
    place = PoseConfig(position_m=(0.0, 0.0, 0.0), rotvec_rad=(0.0, 0.0, 0.0))
    with open_sender(send, greeting=greeting) as sender:
        config = SoftwareCameraConfig(
            host="127.0.0.1",
            port=sender.port,
            rate_hz=RATE_HZ,
            base_from_camera=place,
        )
        with open_camera("overhead", config, lambda: base_from_camera) as driver:
            frame = driver.read_frame(10.0)
    ours = align_pair(pair, camera, base_from_camera)

    same = np.isclose(ours.depth_m, frame.depth_m, atol=2e-4)
    grid, base_from_bin = setup.workspace.grid, setup.workspace.base_from_bin
    heights, _ = compute_heightmap(ours, base_from_bin, grid)
    delivered, _ = compute_heightmap(frame, base_from_bin, grid)
    assert same.mean() > 0.99
    assert np.mean(np.abs(heights - delivered) > 0.001) < 0.005


def test_a_look_shows_the_parts_at_their_height(repository: Path) -> None:
    setup = load_setup(repository / "config.yaml")
    rng = np.random.default_rng(4)
    scene = build_scene(sample_parts(3, rng), setup.geometry)
    drop_parts(scene, rng, 3)
    settle(scene, 1.5)

    with OverheadCamera() as camera:
        frame = camera.look(scene, rng)
        again = camera.look(scene, np.random.default_rng(5))

    heights, seen = compute_heightmap(
        frame, setup.workspace.base_from_bin, setup.workspace.grid
    )
    centres = setup.workspace.grid.centres_m()
    floor = np.abs(heights[np.ix_(np.abs(centres) < 0.1, np.abs(centres) < 0.13)])
    assert seen > 0.85
    # Most of the floor is free and flat to within the camera's noise.
    assert np.median(floor) < 0.004
    assert 0.02 < floor.max() < 0.12
    assert not np.array_equal(frame.depth_m, again.depth_m)
    assert frame.depth_m.dtype == np.float32
    assert frame.base_from_camera.position_m[2] == pytest.approx(0.85)
