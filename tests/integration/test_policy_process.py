"""The policy worker as the process that the host starts."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from cell.contracts.errors import FaultCode
from cell.contracts.observation import ActionChunk
from cell.drivers.clock import MonotonicClock
from cell.mailbox import complaint
from cell.mailbox.frames import FrameRing, frame_ring_path
from policies.client import PolicyWorkerClient
from policies.runtime.wire import SOCKET_NAME
from tests.fakes.grasp_models import copy_without_novelty, make_frame

PART = (0.03, 0.0, 0.04, 0.06, 0.04)


Start = Callable[[dict[str, object]], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(repository: Path, runtime_directory: Path, tmp_path: Path) -> Iterator[Start]:
    """Return what starts the process with changes to the section `policy`."""
    running: list[subprocess.Popen[bytes]] = []

    def start_with(changes: dict[str, object]) -> "subprocess.Popen[bytes]":
        tree = yaml.safe_load((repository / "config.yaml").read_text(encoding="utf-8"))
        tree["runtime"]["state_directory"] = str(tmp_path / "state")
        tree["policy"] |= changes
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(tree), encoding="utf-8")
        config.chmod(0o600)
        command = [sys.executable, "-m", "ops.processes.policy"]
        command += ["--config", str(config), "--runtime", str(runtime_directory)]
        running.append(subprocess.Popen(command, cwd=repository))
        return running[-1]

    yield start_with
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


async def test_the_shipped_network_picks_a_part_and_sigterm_ends_the_process(
    repository: Path, runtime_directory: Path, tmp_path: Path, start: Start
) -> None:
    models = tmp_path / "models"
    shipped = repository / "policies" / "models" / "heightmap"
    copy_without_novelty(shipped, models / "heightmap")
    process = start({"directory": str(models)})
    ring = FrameRing.open(frame_ring_path(runtime_directory, "overhead"), 240, 320)
    ring.write(make_frame([PART], stamp_ns=5))
    ring.close()
    client = PolicyWorkerClient(runtime_directory / SOCKET_NAME, 20.0, MonotonicClock())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.run())
        async with asyncio.timeout(60.0):
            while not client.is_ready():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        live = await client.propose(fallback=False, min_frame_stamp_ns=5)
        scripted = await client.propose(fallback=True, min_frame_stamp_ns=5)
        reading.cancel()
    process.terminate()
    async with asyncio.timeout(20.0):
        while process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    assert client.model_name() == ""
    for timed in (live, scripted):
        assert isinstance(timed.answer, ActionChunk)
        position = timed.answer.steps[-1].base_from_tcp.position_m
        # The part lies at (0.03, 0) in the bin, whose centre is (-0.20, 0.48).
        assert abs(position[0] + 0.17) < 0.02
        assert abs(position[1] - 0.48) < 0.03
        assert position[2] > 0.012
    assert process.returncode == 0
    assert not (runtime_directory / SOCKET_NAME).exists()


async def test_a_bit_that_flips_on_disk_takes_the_running_model_away(
    repository: Path, runtime_directory: Path, tmp_path: Path, start: Start
) -> None:
    models = tmp_path / "models"
    shutil.copytree(repository / "policies" / "models" / "heightmap", models / "live")
    start({"live": "live", "directory": str(models), "recheck_s": 1.0})
    client = PolicyWorkerClient(runtime_directory / SOCKET_NAME, 20.0, MonotonicClock())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.run())
        async with asyncio.timeout(60.0):
            while not client.has_learned():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            weights = models / "live" / "model.onnx"
            content = bytearray(weights.read_bytes())
            content[-1] ^= 1
            weights.write_bytes(content)
            while client.has_learned() or not client.is_ready():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        reading.cancel()
    box = complaint.ComplaintBox(runtime_directory, complaint.POLICY)
    said = box.read()

    assert said is not None
    assert said.code is FaultCode.MODEL_INVALID
    assert str(weights) in said.text
    assert "scripted-1 picks in place of live" in said.text
