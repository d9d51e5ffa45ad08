"""The Guardian as the process that the host starts."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cell.contracts.errors import FaultCode
from cell.drivers.clock import MonotonicClock
from cell.mailbox import complaint
from ops.guardian_watch import make_guardian
from ops.settings import load_settings
from policies.guardian_client import GuardianWorkerClient
from policies.runtime.guardian_wire import GUARDIAN_SOCKET
from tests.fakes.guardian_models import CALIBRATION, make_features, write_guardian
from tests.running_cell import write_config

NEVER_BAD = json.loads(
    CALIBRATION.model_copy(update={"good_ratio": 0.9996}).model_dump_json()
)


@contextmanager
def started(config: Path, runtime: Path, repository: Path) -> Iterator[Any]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ops.processes.guardian"),
            *("--config", str(config), "--runtime", str(runtime)),
        ],
        cwd=repository,
        env=dict(os.environ, PYTHONPATH=str(repository)),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def make_config(folder: Path, **changes: Any) -> Path:
    """Write a configuration with a small Guardian; `changes` as `write_guardian`."""
    write_guardian(folder / "models" / "tiny", **changes)

    def change(tree: dict[str, Any]) -> None:
        tree["policy"]["directory"] = str(folder / "models")
        tree["guardian"]["model"] = "tiny"

    return write_config(folder, "127.0.0.1", change)


async def wait_for(client: GuardianWorkerClient, *, is_ready: bool) -> None:
    async with asyncio.timeout(60.0):
        while client.is_ready() is not is_ready:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.alone
async def test_it_judges_for_the_client_that_the_supervisor_is_given_until_killed(
    tmp_path: Path, runtime_directory: Path, repository: Path
) -> None:
    config = make_config(tmp_path)
    peers, client = make_guardian(
        load_settings(config), runtime_directory, MonotonicClock()
    )
    assert peers is not None
    assert client is not None
    with started(config, runtime_directory, repository) as process:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(client.run())
            await wait_for(client, is_ready=True)
            said = await client.judge(make_features(4))
            killed_ns = time.monotonic_ns()
            process.kill()
            await wait_for(client, is_ready=False)
            noticed_s = (time.monotonic_ns() - killed_ns) / 1e9
            reading.cancel()

    assert said.attempt == 4
    # A connection that breaks is noticed by the kernel; nobody waits for a deadline.
    assert noticed_s < 1.0


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"calibration": None}, "calibration"),
        ({"calibration": NEVER_BAD}, "calibration.good_ratio"),
        ({"inputs": []}, "inputs"),
        ({"features": ["score"]}, "features"),
    ],
)
def test_a_model_that_will_not_do_is_complained_about_and_ends_nothing(
    changes: dict[str, Any],
    key: str,
    tmp_path: Path,
    runtime_directory: Path,
    repository: Path,
) -> None:
    config = make_config(tmp_path, **changes)
    box = complaint.ComplaintBox(runtime_directory, complaint.GUARDIAN)
    with started(config, runtime_directory, repository) as process:
        deadline_s = time.monotonic() + 60.0
        socket = runtime_directory / GUARDIAN_SOCKET
        while not socket.exists() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        found = box.read()
        assert process.poll() is None
        process.terminate()
        assert process.wait(20.0) == 0
    box.close()

    assert found is not None
    assert found.code is FaultCode.GUARDIAN_INVALID
    assert key in found.text


def test_the_manifest_of_the_shipped_network_makes_a_guardian(
    tmp_path: Path, runtime_directory: Path, repository: Path
) -> None:
    settings = load_settings(write_config(tmp_path, "127.0.0.1"))
    peers, client = make_guardian(settings, runtime_directory, MonotonicClock())
    manifest = json.loads(
        (repository / "policies/models/guardian/manifest.json").read_text()
    )

    assert peers is not None
    assert client is not None
    assert peers.guardian is not None
    assert peers.network_id == manifest["model_sha256"]
