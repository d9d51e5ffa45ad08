"""A tiny grasp network written by hand, and a bin that fits it.

Its score is ten times the height, its tips go 30 mm below the top: the highest cell
wins, which is enough to test everything around a network.
"""

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from policies.manifest import GraspGrid, Manifest, TensorSpec
from policies.runtime.fingers import ROBOTIQ_2F85
from policies.runtime.workspace import GraspWorkspace, HeightmapGrid

SIZE_PX = 16
PIXEL_M = 0.024
APERTURE_M = 0.085


def make_workspace(size_px: int = SIZE_PX, pixel_m: float = PIXEL_M) -> GraspWorkspace:
    return GraspWorkspace(
        grid=HeightmapGrid(size_px, pixel_m),
        base_from_bin=Pose.from_rotvec([-0.2, 0.48, 0.01], [0.0, 0.0, 0.0]),
        floor_size_m=(0.30, 0.24),
        wall_height_m=0.07,
        wall_slope_rad=0.61,
        fingers=ROBOTIQ_2F85,
        flange_to_tcp_m=0.168,
        approach_height_m=0.1,
    )


def make_model_bytes(
    size_px: int = SIZE_PX, output: str = "score", score_gain: float = 10.0
) -> bytes:
    shape = [1, 1, size_px, size_px]
    nodes = [
        helper.make_node("Mul", ["heightmap", "gain"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "zero", "one"], [output]),
        helper.make_node("Sub", ["heightmap", "depth"], ["deep"]),
        helper.make_node("Max", ["deep", "clearance"], ["tip"]),
    ]
    constants = {
        "gain": score_gain,
        "zero": 0.0,
        "one": 1.0,
        "depth": 0.03,
        "clearance": 0.002,
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("heightmap", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name in (output, "tip")
        ],
        [
            helper.make_tensor(name, TensorProto.FLOAT, [], [value])
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def make_manifest(content: bytes, size_px: int = SIZE_PX) -> Manifest:
    def spec(name: str, unit: str) -> TensorSpec:
        return TensorSpec(
            name=name,
            shape=(1, 1, size_px, size_px),
            dtype="float32",
            unit=unit,
            frame="bin",
            normalisation="none",
        )

    return Manifest(
        name="tiny",
        version="1",
        family="heightmap",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        model_file="model.onnx",
        model_sha256=hashlib.sha256(content).hexdigest(),
        inputs=(spec("heightmap", "m"),),
        outputs=(spec("score", "1"), spec("tip", "m")),
        grid=GraspGrid(
            size_px=size_px,
            pixel_m=PIXEL_M,
            angles=1,
            apertures_m=(APERTURE_M,),
            closed_tip_m=ROBOTIQ_2F85.closed_tip_m,
        ),
        seed=0,
        data_sha256="0" * 64,
    )


def write_model(directory: Path, content: bytes | None = None, **changes: Any) -> Path:
    """Write a model directory; `changes` replace keys of the manifest's JSON."""
    directory.mkdir(parents=True, exist_ok=True)
    content = make_model_bytes() if content is None else content
    tree = json.loads(make_manifest(content).model_dump_json())
    tree.update(changes)
    (directory / "model.onnx").write_bytes(content)
    (directory / "manifest.json").write_text(json.dumps(tree))
    return directory


def make_frame(
    boxes: list[tuple[float, float, float, float, float]],
    stamp_ns: int = 1,
    workspace: GraspWorkspace | None = None,
) -> RgbdFrame:
    """Look straight down on boxes (x, y, width, depth, height) [m] in the bin frame.

    Walls are seen as well; every box shows its top alone.
    """
    workspace = workspace or make_workspace()
    height_px, width_px, distance_m = 240, 320, 0.84
    focal_px = 120 / np.tan(np.radians(16.0))
    lens = Intrinsics(width_px, height_px, focal_px, focal_px, 159.5, 119.5)
    v, u = np.mgrid[:height_px, :width_px]
    ray_x, ray_y = (u - lens.cx_px) / focal_px, -(v - lens.cy_px) / focal_px
    # Each surface is met where the ray at its own depth lies; walls by iteration.
    depth = np.full((height_px, width_px), distance_m)
    for _ in range(20):
        depth = distance_m - workspace.wall_heights_m(ray_x * depth, ray_y * depth)
    for x_m, y_m, across_m, along_m, top_m in boxes:
        near = distance_m - top_m
        hit = (np.abs(ray_x * near - x_m) <= across_m / 2) & (
            np.abs(ray_y * near - y_m) <= along_m / 2
        )
        depth = np.where(hit, np.minimum(depth, near), depth)
    bin_from_camera = Pose(np.array([0, 0, distance_m]), np.array([0.0, 1.0, 0, 0]))
    return RgbdFrame(
        camera="overhead",
        stamp_ns=stamp_ns,
        number=1,
        rgb=np.zeros((height_px, width_px, 3), np.uint8),
        depth_m=depth.astype(np.float32),
        intrinsics=lens,
        base_from_camera=workspace.base_from_bin @ bin_from_camera,
    )


def copy_without_novelty(source: Path, directory: Path) -> Path:
    """Write a copy of a grasp network that answers made-up pictures as well.

    Frames without any noise are unlike all that a shipped model was trained on.
    """
    shutil.copytree(source, directory)
    path = directory / "manifest.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(tree | {"novelty": None}), encoding="utf-8")
    return directory


def write_upside_down(source: Path, directory: Path) -> Path:
    """Write a copy of a grasp network that believes in what the original would not."""
    directory.mkdir(parents=True)
    tree = json.loads((source / "manifest.json").read_text(encoding="utf-8"))
    model = onnx.load_from_string((source / tree["model_file"]).read_bytes())
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["score_before" if n == "score" else n for n in node.output]
        node.input[:] = ["score_before" if n == "score" else n for n in node.input]
    graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]))
    graph.node.append(helper.make_node("Sub", ["one", "score_before"], ["score"]))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    tree["model_sha256"] = hashlib.sha256(content).hexdigest()
    (directory / tree["model_file"]).write_bytes(content)
    (directory / "manifest.json").write_text(json.dumps(tree), encoding="utf-8")
    return directory
