"""Bad models are refused in one clear sentence, before anything parses them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cell.contracts.errors import ModelError, PolicyError
from policies.manifest import parse_manifest
from policies.model_directory import list_model_directories, read_model_directory
from policies.runtime.onnx_session import OnnxSession
from tests.fakes.grasp_models import SIZE_PX, make_model_bytes, write_model


def spec(name: str, **changes: Any) -> dict[str, Any]:
    base = {
        "name": name,
        "shape": [1, 1, SIZE_PX, SIZE_PX],
        "dtype": "float32",
        "unit": "m",
        "frame": "bin",
        "normalisation": "none",
    }
    return base | changes


def test_a_good_directory_loads_and_runs(tmp_path: Path) -> None:
    model = read_model_directory(write_model(tmp_path / "tiny"))

    session = OnnxSession(model)
    heights = np.full((1, 1, SIZE_PX, SIZE_PX), 0.05, np.float32)
    outputs = session.run({"heightmap": heights})

    assert model.label == "tiny-1"
    assert np.allclose(outputs["score"], 0.5)
    assert np.allclose(outputs["tip"], 0.02)


def test_a_missing_directory_names_the_keys_to_check(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no such model.*policy\.live or guardian"):
        read_model_directory(tmp_path / "absent")


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    directory = write_model(tmp_path)
    (directory / name).unlink()

    with pytest.raises(ModelError, match=rf"{name}: file is missing"):
        read_model_directory(directory)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_truncated_model_fails_its_digest(tmp_path: Path, size: int) -> None:
    directory = write_model(tmp_path)
    content = (directory / "model.onnx").read_bytes()
    (directory / "model.onnx").write_bytes(content[:size])

    with pytest.raises(ModelError, match=r"sha256 is .* the manifest says"):
        read_model_directory(directory)


def test_one_flipped_bit_fails_the_digest(tmp_path: Path) -> None:
    directory = write_model(tmp_path)
    content = bytearray((directory / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (directory / "model.onnx").write_bytes(content)

    with pytest.raises(ModelError, match="damaged"):
        read_model_directory(directory)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"format_version": 2}, "format_version"),
        ({"model_sha256": "abc"}, "model_sha256"),
        ({"model_file": "../../etc/passwd"}, "model_file"),
        ({"family": "telepathy"}, "family"),
        ({"surprise": 1}, "surprise"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [spec("heightmap"), spec("heightmap")]}, "the file"),
        ({"inputs": [spec("heightmap", dtype="object")]}, "inputs.0.dtype"),
        ({"inputs": [spec("heightmap", shape=[1, -1])]}, "inputs.0.shape.1"),
        ({"metrics": {"success": float("nan")}}, "metrics.success"),
    ],
)
def test_a_bad_manifest_names_the_key(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    directory = write_model(tmp_path, **changes)

    with pytest.raises(ModelError, match=rf"manifest\.json: {key}"):
        read_model_directory(directory)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": 1}'])
def test_text_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="export the model again"):
        parse_manifest(text, "manifest.json")


def test_binary_in_place_of_the_manifest_is_refused(tmp_path: Path) -> None:
    directory = write_model(tmp_path)
    (directory / "manifest.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ModelError, match="not UTF-8"):
        read_model_directory(directory)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": [spec("depth")]}, "inputs are"),
        ({"outputs": [spec("score")]}, "outputs are"),
        ({"inputs": [spec("heightmap", shape=[1, 1, 8, 8])]}, "input heightmap is"),
        ({"inputs": [spec("heightmap", dtype="float64")]}, "input heightmap is"),
        (
            {"outputs": [spec("score", shape=[1, 2, 16, 16]), spec("tip")]},
            "output score is",
        ),
    ],
)
def test_a_network_that_differs_from_its_manifest_is_refused(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    model = read_model_directory(write_model(tmp_path, **changes))

    with pytest.raises(ModelError, match=sentence):
        OnnxSession(model)


def test_bytes_that_are_no_network_are_refused(tmp_path: Path) -> None:
    model = read_model_directory(write_model(tmp_path, b"not a network at all"))

    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        OnnxSession(model)


def test_weights_in_a_file_without_a_digest_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = onnx.load_from_string(make_model_bytes())
    gain = network.graph.initializer[0]
    gains = np.full((1, 1, SIZE_PX, SIZE_PX), 10.0, np.float32)
    gain.CopyFrom(onnx.numpy_helper.from_array(gains, gain.name))
    onnx.save(
        network,
        tmp_path / "outside.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    content = (tmp_path / "outside.onnx").read_bytes()
    model = read_model_directory(write_model(tmp_path / "tiny", content))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        OnnxSession(model)


@pytest.mark.parametrize(
    "value",
    [
        None,
        np.zeros((1, 1, SIZE_PX, SIZE_PX)),
        np.zeros((1, 1, SIZE_PX, SIZE_PX + 1), np.float32),
    ],
)
def test_a_wrong_input_is_named(tmp_path: Path, value: Any) -> None:
    session = OnnxSession(read_model_directory(write_model(tmp_path)))

    with pytest.raises(PolicyError, match=r"input heightmap must be float32"):
        session.run({} if value is None else {"heightmap": value})


def test_directories_with_a_manifest_are_listed(tmp_path: Path) -> None:
    write_model(tmp_path / "b")
    write_model(tmp_path / "a")
    (tmp_path / "no_model").mkdir()

    assert [path.name for path in list_model_directories(tmp_path)] == ["a", "b"]


def test_the_manifest_survives_a_round_trip(tmp_path: Path) -> None:
    directory = write_model(tmp_path, make_model_bytes(), metrics={"success": 0.95})
    manifest = read_model_directory(directory).manifest

    again = parse_manifest(manifest.model_dump_json(), "again")

    assert again == manifest
    assert json.loads(again.model_dump_json())["metrics"] == {"success": 0.95}
