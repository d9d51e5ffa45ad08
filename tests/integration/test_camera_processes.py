"""Virtual cameras and camera process together, killed and started in any order."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.observation import RgbdFrame
from cell.mailbox.beats import Beats
from cell.mailbox.frames import FrameSource, frame_ring_path
from cell.mailbox.seqlock import Mailbox
from ops.exit_codes import ExitCode
from ops.settings import load_settings
from sim2real.virtual_cell.links import WORLD_STATE
from sim2real.virtual_cell.world_scene import build_world_scene
from tests.running_cell import write_config

PATIENCE_S = 60.0
VCAMERA, CAMERA = "sim2real.virtual_cell.vcamera", "ops.processes.camera"

pytestmark = pytest.mark.slow


@dataclass
class Rig:
    """A configuration with a world that stands still."""

    config: Path
    runtime: Path
    state: Path
    repository: Path

    @contextmanager
    def running(self, module: str, **changes: str) -> Iterator["subprocess.Popen[str]"]:
        folders = ["--config", str(self.config), "--runtime", str(self.runtime)]
        process = subprocess.Popen(
            [sys.executable, "-m", module, *folders],
            cwd=self.repository,
            env=os.environ | changes,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def log_of(self, name: str) -> str:
        path = self.state / "log" / f"{name}.jsonl"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def rig(tmp_path: Path, repository: Path) -> Rig:
    rig = Rig(
        config=write_config(tmp_path, "127.0.0.1"),
        runtime=tmp_path / "runtime",
        state=tmp_path / "state",
        repository=repository,
    )
    rig.runtime.mkdir(mode=0o700)
    scene = build_world_scene(load_settings(rig.config))
    record = np.zeros((), WORLD_STATE)
    record["qpos"][: scene.model.nq] = scene.data.qpos
    record["part_rgba"] = 0.5
    mailbox = Mailbox.open(rig.runtime / "vc_world_state", WORLD_STATE)
    mailbox.write(record)
    mailbox.close()
    return rig


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"{what} did not happen"
        time.sleep(0.02)


def wait_for_frame(rig: Rig, camera: str, after: int = 0) -> RgbdFrame:
    source = FrameSource(frame_ring_path(rig.runtime, camera))
    frames: list[RgbdFrame] = []

    def is_there() -> bool:
        frame = source.read_newest()
        if frame is not None and frame.number > after:
            frames.append(frame)
        return bool(frames)

    wait_for(is_there, f"a frame of {camera} after {after}")
    source.close()
    return frames[-1]


def test_frames_of_both_cameras_reach_their_rings(rig: Rig) -> None:
    with rig.running(CAMERA) as camera, rig.running(VCAMERA) as vcamera:
        overhead = wait_for_frame(rig, "overhead", after=3)
        wrist = wait_for_frame(rig, "wrist", after=3)

        for process in (vcamera, camera):
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == ExitCode.OK

    assert overhead.depth_m.shape == (240, 320)
    assert np.median(overhead.depth_m) == pytest.approx(0.84, abs=0.01)
    assert np.isfinite(overhead.base_from_camera.position_m).all()
    assert wrist.depth_m.shape == (120, 160)
    # Nobody says where the arm is.
    assert np.isnan(wrist.base_from_camera.position_m).all()


def test_either_side_may_be_killed_and_frames_go_on_with_rising_numbers(
    rig: Rig,
) -> None:
    with ExitStack() as stack:
        vcamera = stack.enter_context(rig.running(VCAMERA))
        camera = stack.enter_context(rig.running(CAMERA))
        number = wait_for_frame(rig, "overhead", after=3).number

        vcamera.send_signal(signal.SIGKILL)
        vcamera.wait()
        wait_for(lambda: "camera fails" in rig.log_of("camera"), "a note of the loss")
        stack.enter_context(rig.running(VCAMERA))
        number = wait_for_frame(rig, "overhead", after=number + 20).number
        assert camera.poll() is None

        camera.send_signal(signal.SIGKILL)
        camera.wait()
        stack.enter_context(rig.running(CAMERA))
        frame = wait_for_frame(rig, "overhead", after=number + 20)

    assert frame.depth_m.shape == (240, 320)


def test_a_feed_that_is_not_there_is_reported_once_and_waited_for(rig: Rig) -> None:
    with rig.running(CAMERA) as camera:
        wait_for(lambda: rig.log_of("camera").count("camera fails") >= 2, "two reports")
        beats = Beats.open(rig.runtime / "beats")
        begin_ns = time.monotonic_ns()
        wait_for(
            lambda: beats.age_s("camera", begin_ns) < -3.0, "three seconds of beats"
        )
        beats.close()
        assert camera.poll() is None

    lines = rig.log_of("camera").splitlines()
    assert len(lines) == 2  # one for each camera
    for line in lines:
        assert '"process": "camera"' in line
        assert "no frame feed at 127.0.0.1" in line


def test_without_opengl_the_cameras_cast_rays_and_say_so(rig: Rig) -> None:
    with (
        rig.running(VCAMERA, PYOPENGL_PLATFORM="none") as vcamera,
        rig.running(CAMERA),
    ):
        frame = wait_for_frame(rig, "overhead", after=2)
        vcamera.send_signal(signal.SIGTERM)
        _, said = vcamera.communicate(timeout=PATIENCE_S)

    assert np.median(frame.depth_m) == pytest.approx(0.84, abs=0.01)
    assert said.count("no OpenGL library") == 1


def test_a_taken_port_ends_the_virtual_cameras_with_one_sentence(rig: Rig) -> None:
    section = load_settings(rig.config).cameras["wrist"]
    assert section.kind == "software"
    with (
        socket.create_server((section.host, section.port)),
        rig.running(VCAMERA) as vcamera,
    ):
        _, said = vcamera.communicate(timeout=PATIENCE_S)

    assert vcamera.returncode == ExitCode.PORT_TAKEN
    assert f"port {section.port}" in said
    assert "Traceback" not in said
