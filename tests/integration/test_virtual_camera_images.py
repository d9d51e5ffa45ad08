"""From the scene to an aligned frame: where things appear, and how deep."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from cell.config import PoseConfig, SoftwareCameraConfig
from cell.contracts.geometry import Pose
from cell.contracts.observation import RgbdFrame
from cell.drivers.camera.frame_feed import FeedPair, encode_greeting
from cell.drivers.camera.opening import open_camera
from ops.settings import load_settings
from sim2real.scene.build import Scene, build_scene, place_part
from sim2real.scene.clutter import drop_parts, settle
from sim2real.scene.geometry import SceneGeometry
from sim2real.scene.parts import PartSpec, sample_parts
from sim2real.virtual_cell.ray_renderer import RayRenderer
from sim2real.virtual_cell.vcamera_optics import (
    VirtualCamera,
    make_virtual_camera,
    read_world_from_camera,
)
from tests.fakes.frame_sender import open_sender
from tests.fakes.scene_renderer import open_renderer_of

BOX_SIZE_M = (0.06, 0.04, 0.03)
BOX_CENTRE_M = (0.03, -0.02)  # in the bin
RED = (0.9, 0.05, 0.05, 1.0)
PLACE = PoseConfig(position_m=(-0.2, 0.48, 0.85), rotvec_rad=(np.pi, 0.0, 0.0))
Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def geometry(repository: Path) -> SceneGeometry:
    return SceneGeometry.from_settings(load_settings(repository / "config.yaml"))


@pytest.fixture(scope="module")
def box_scene(geometry: SceneGeometry) -> Scene:
    box = PartSpec("box", "bar", BOX_SIZE_M, 0.1, RED)
    scene = build_scene([box], geometry)
    x, y, z = geometry.base_from_bin.apply(
        np.array([*BOX_CENTRE_M, BOX_SIZE_M[2] / 2])
    ).tolist()
    place_part(scene, 0, (x, y, z), (1.0, 0.0, 0.0, 0.0))
    mujoco.mj_forward(scene.model, scene.data)
    return scene


@pytest.fixture(scope="module")
def clutter_scene(geometry: SceneGeometry) -> Scene:
    rng = np.random.default_rng(5)
    scene = build_scene(sample_parts(10, rng), geometry)
    drop_parts(scene, rng, 10)
    settle(scene, 1.5)
    return scene


def overhead_of(scene: Scene) -> VirtualCamera:
    mount = scene.geometry.overhead
    return make_virtual_camera("overhead", scene.cameras["overhead"], mount)


def read_through_the_sdk(scene: Scene, kind: str) -> RgbdFrame:
    """Render, send over TCP, and read an aligned frame from the software device."""
    camera, rng = overhead_of(scene), np.random.default_rng(0)
    with open_renderer_of(kind, scene) as renderer:
        pairs = [camera.take(renderer, scene.data, 0, 0, rng) for _ in range(10)]

    def send(number: int) -> FeedPair:
        return replace(
            pairs[number % 10], number=number, device_time_us=33_333 * number
        )

    greeting = encode_greeting(camera.make_greeting(30.0))
    with open_sender(send, greeting=greeting) as sender:
        config = SoftwareCameraConfig(
            host="127.0.0.1", port=sender.port, base_from_camera=PLACE
        )
        with open_camera("overhead", config, PLACE.pose) as driver:
            return driver.read_frame(10.0)


def compute_points(frame: RgbdFrame) -> NDArray[np.float64]:
    """Return where every pixel lies in base, shape (height, width, 3)."""
    lens = frame.intrinsics
    u, v = np.meshgrid(np.arange(lens.width_px), np.arange(lens.height_px))
    z = frame.depth_m.astype(np.float64)
    x, y = (u - lens.cx_px) / lens.fx_px * z, (v - lens.cy_px) / lens.fy_px * z
    return frame.base_from_camera.apply(np.stack([x, y, z], axis=-1))


def find_red(frame: RgbdFrame) -> Mask:
    red, green, blue = (frame.rgb[..., i].astype(int) for i in range(3))
    return np.asarray(red > 2 * np.maximum(green, blue) + 20)


@pytest.mark.parametrize("kind", ["gl", "rays"])
def test_a_box_is_measured_where_it_stands(box_scene: Scene, kind: str) -> None:
    frame = read_through_the_sdk(box_scene, kind)

    points = compute_points(frame)
    seen = frame.depth_m > 0
    in_bin = box_scene.geometry.bin_from_base.apply(points)
    top = seen & (np.abs(in_bin[..., 2] - BOX_SIZE_M[2]) < 0.008)
    near = np.abs(in_bin[..., :2] - BOX_CENTRE_M).max(axis=-1) < 0.05
    box = in_bin[top & near]
    # Depth comes in steps of a millimetre here; a median would jump between two.
    assert np.mean(box[:, 2]) == pytest.approx(BOX_SIZE_M[2], abs=0.0008)
    assert np.std(box[:, 2]) < 0.0025
    assert box[:, :2].mean(axis=0) == pytest.approx(BOX_CENTRE_M, abs=0.0025)
    extent = np.quantile(box[:, :2], 0.99, axis=0) - np.quantile(
        box[:, :2], 0.01, axis=0
    )
    assert extent == pytest.approx(BOX_SIZE_M[:2], abs=0.006)
    floor = in_bin[seen & near & ~top & (in_bin[..., 2] < 0.01)]
    assert np.median(floor[:, 2]) == pytest.approx(0.0, abs=0.0008)


@pytest.mark.parametrize("kind", ["gl", "rays"])
def test_colour_and_depth_of_an_aligned_frame_show_the_box_at_the_same_pixels(
    box_scene: Scene, kind: str
) -> None:
    frame = read_through_the_sdk(box_scene, kind)

    height = box_scene.geometry.bin_from_base.apply(compute_points(frame))[..., 2]
    by_depth = (frame.depth_m > 0) & (height > 0.02) & (height < 0.04)
    rows, columns = np.nonzero(find_red(frame))
    by_depth[: rows.min() - 5] = by_depth[rows.max() + 6 :] = False
    by_depth[:, : columns.min() - 5] = by_depth[:, columns.max() + 6 :] = False
    by_color = find_red(frame)
    overlap = (by_depth & by_color).sum() / (by_depth | by_color).sum()
    assert overlap > 0.8


def test_a_frame_has_the_optics_of_the_scene_and_few_holes(
    clutter_scene: Scene,
) -> None:
    frame = read_through_the_sdk(clutter_scene, "gl")

    camera = overhead_of(clutter_scene)
    lens, color = frame.intrinsics, camera.imagers.color
    assert (lens.width_px, lens.height_px) == (320, 240)
    assert [lens.fx_px, lens.fy_px] == pytest.approx(
        [color.fx_px, color.fy_px], abs=1e-3
    )
    assert [lens.cx_px, lens.cy_px] == pytest.approx([159.5, 119.5])
    assert (frame.depth_m == 0).mean() < 0.05


def test_rays_and_opengl_see_the_same_depth_away_from_edges(
    clutter_scene: Scene,
) -> None:
    scene, camera = clutter_scene, overhead_of(clutter_scene)
    pose = read_world_from_camera(scene.data, camera.camera_id)
    with open_renderer_of("gl", scene) as renderer:
        _, by_gl = renderer.render(scene.data, pose, camera.imagers)

    _, by_rays = RayRenderer(scene.model).render(scene.data, pose, camera.imagers)

    steep = np.hypot(*np.gradient(by_gl)) > 0.004
    edge = np.zeros_like(steep)
    for dv in range(-3, 4):
        for du in range(-3, 4):
            edge |= np.roll(steep, (dv, du), axis=(0, 1))
    assert edge.mean() < 0.5
    assert np.quantile(np.abs(by_gl - by_rays)[~edge], 0.995) < 0.002


def test_the_scene_camera_stands_where_the_configuration_says(
    box_scene: Scene, geometry: SceneGeometry
) -> None:
    pose = read_world_from_camera(box_scene.data, box_scene.cameras["overhead"])

    expected: Pose = geometry.overhead.parent_from_camera
    assert pose.as_matrix() == pytest.approx(expected.as_matrix(), abs=1e-9)


def test_the_wrist_camera_rides_on_the_flange(
    box_scene: Scene, geometry: SceneGeometry
) -> None:
    scene = box_scene
    assert scene.arm is not None
    assert geometry.wrist is not None
    base_from_flange = np.eye(4)
    base_from_flange[:3, :3] = scene.data.site_xmat[scene.arm.flange_site].reshape(3, 3)
    base_from_flange[:3, 3] = scene.data.site_xpos[scene.arm.flange_site]

    pose = read_world_from_camera(scene.data, scene.cameras["wrist"])

    flange_from_camera = geometry.wrist.parent_from_camera.as_matrix()
    assert pose.as_matrix() == pytest.approx(
        base_from_flange @ flange_from_camera, abs=1e-9
    )
