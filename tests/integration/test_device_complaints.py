"""Each process tells which device or model is wrong, and what to do about it."""

import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cell.config import SoftwareCameraConfig
from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.geometry import Pose
from cell.mailbox import complaint
from cell.mailbox.complaint import ComplaintBox, name_camera_source
from ops.processes.camera import CameraLoop
from policies.config import PolicyConfig
from policies.runtime.loading import load_policies
from tests.fakes.grasp_models import (
    make_model_bytes,
    make_workspace,
    write_model,
)
from tests.fakes.virtual_ur import wait_until
from tests.integration.servo_process import running_servo

RTDE_PORT = 30004


def wait_for_complaint(box: ComplaintBox) -> Complaint:
    assert wait_until(lambda: box.read() is not None, 30.0)
    said = box.read()
    assert said is not None
    return said


@contextmanager
def old_controller(host: str) -> Iterator[None]:
    """Answer every question for a version with that of another generation."""
    answer = struct.pack(">HBIIII", 19, ord("v"), 3, 15, 8, 106339)
    with socket.create_server((host, RTDE_PORT)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.recv(64)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@pytest.mark.slow
def test_the_servo_process_names_an_absent_robot_then_one_of_another_generation(
    tmp_path: Path, loopback_address: str
) -> None:
    with running_servo(tmp_path, loopback_address) as servo:
        box = ComplaintBox(servo.runtime, complaint.SERVO)
        absent = wait_for_complaint(box)
        with old_controller(loopback_address):
            assert wait_until(lambda: box.read() != absent, 30.0)
            old = wait_for_complaint(box)
        box.close()

    assert absent.code is FaultCode.DRIVER_UNREACHABLE
    assert f"{loopback_address}:{RTDE_PORT}" in absent.text
    assert "arm.host" in absent.text
    assert old.code is FaultCode.ARM_WRONG_VERSION
    assert "3.15.8" in old.text
    assert "install PolyScope 5.11 to 5.22" in old.text


def test_the_camera_process_names_a_camera_that_nobody_serves(
    runtime_directory: Path, free_port: int
) -> None:
    config = SoftwareCameraConfig.model_validate(
        {
            "kind": "software",
            "host": "127.0.0.1",
            "port": free_port,
            "base_from_camera": {
                "position_m": [0.0, 0.0, 1.0],
                "rotvec_rad": [0.0, 0.0, 0.0],
            },
        }
    )
    box = ComplaintBox(runtime_directory, name_camera_source("overhead"))
    loop = CameraLoop("overhead", config, runtime_directory, Pose.identity)
    loop.start()
    said = wait_for_complaint(box)
    loop.request_stop()
    loop.join(10.0)
    box.close()

    assert said.code is FaultCode.DRIVER_UNREACHABLE
    assert f"127.0.0.1:{free_port}" in said.text
    assert "cameras.overhead" in said.text


def remove(directory: Path) -> None:
    shutil.rmtree(directory)


def remove_network(directory: Path) -> None:
    (directory / "model.onnx").unlink()


def truncate(directory: Path) -> None:
    path = directory / "model.onnx"
    path.write_bytes(path.read_bytes()[:40])


def rename_output(directory: Path) -> None:
    write_model(directory, make_model_bytes(output="quality"))


def change_grid(directory: Path) -> None:
    grid = {
        "size_px": 64,
        "pixel_m": 0.004,
        "angles": 1,
        "apertures_m": [0.06],
        "closed_tip_m": 0.2,
    }
    write_model(directory, grid=grid)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (remove, FaultCode.MODEL_MISSING),
        (remove_network, FaultCode.MODEL_MISSING),
        (truncate, FaultCode.MODEL_INVALID),
        (rename_output, FaultCode.MODEL_INVALID),
        (change_grid, FaultCode.MODEL_INVALID),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_unusable_model_is_named_with_its_file_and_who_picks_instead(
    tmp_path: Path, damage: Callable[[Path], None], code: FaultCode
) -> None:
    directory = write_model(tmp_path / "tiny")
    damage(directory)

    loaded = load_policies(PolicyConfig(live="tiny"), tmp_path, make_workspace())

    assert loaded.complaint is not None
    assert loaded.complaint.code is code
    assert "tiny" in loaded.complaint.text
    assert loaded.complaint.text.endswith("scripted-1 picks in place of tiny")
    assert loaded.live is loaded.fallback


@pytest.mark.slow
def test_the_policy_process_goes_on_with_a_missing_model_and_complains(
    repository: Path, runtime_directory: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    text = (repository / "config.yaml").read_text(encoding="utf-8")
    text = text.replace('state_directory: ""', f"state_directory: {tmp_path / 'state'}")
    text = text.replace("directory: policies/models", f"directory: {tmp_path}")
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    folders = ["--config", str(config), "--runtime", str(runtime_directory)]
    box = ComplaintBox(runtime_directory, complaint.POLICY)
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.processes.policy", *folders], cwd=repository
    )
    try:
        said = wait_for_complaint(box)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(20.0)
        box.close()

    assert said.code is FaultCode.MODEL_MISSING
    assert str(tmp_path / "heightmap") in said.text
