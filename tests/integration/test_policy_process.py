"""The policy worker as the process that the host starts."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cell.contracts.observation import ActionChunk
from cell.drivers.clock import MonotonicClock
from cell.mailbox.frames import FrameRing, frame_ring_path
from policies.client import PolicyWorkerClient
from policies.runtime.wire import SOCKET_NAME
from tests.fakes.grasp_models import copy_without_novelty, make_frame

PART = (0.03, 0.0, 0.04, 0.06, 0.04)


@pytest.fixture
def process(
    repository: Path, runtime_directory: Path, tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    config = tmp_path / "config.yaml"
    text = (repository / "config.yaml").read_text(encoding="utf-8")
    shipped = repository / "policies" / "models" / "heightmap"
    copy_without_novelty(shipped, tmp_path / "models" / "heightmap")
    for key, folder in (
        ('state_directory: ""', f"state_directory: {tmp_path / 'state'}"),
        ("directory: policies/models", f"directory: {tmp_path / 'models'}"),
    ):
        assert key in text
        text = text.replace(key, folder)
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    started = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ops.processes.policy",
            "--config",
            str(config),
            "--runtime",
            str(runtime_directory),
        ],
        cwd=repository,
    )
    yield started
    if started.poll() is None:
        started.kill()
    started.wait()


async def test_the_shipped_network_picks_a_part_and_sigterm_ends_the_process(
    runtime_directory: Path, process: subprocess.Popen[bytes]
) -> None:
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
