"""The world as the process that the host starts."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cell.mailbox.beats import Beats
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.text import TextMailbox
from ops.telemetry import STATUS_CAPACITY
from sim2real.virtual_cell.links import (
    JOINT_STATE,
    JOINT_TARGET,
    LINE_COMMAND,
    WORLD_STATE,
)
from tests.fakes.cell_scene import shipped_geometry
from tests.running_cell import ROOT, write_config

PATIENCE_S = 40.0
HOME = np.array(shipped_geometry().home_q_rad)


@dataclass
class WorldProcess:
    config: Path
    runtime: Path
    process: "subprocess.Popen[bytes]"

    def read(self, name: str, dtype: "np.dtype[np.void]") -> np.void | None:
        box = Mailbox.open(self.runtime / name, dtype)
        try:
            return box.read()
        finally:
            box.close()

    def joints(self) -> np.void:
        record = self.read("vc_joint_state", JOINT_STATE)
        assert record is not None
        return record

    def state(self) -> np.void:
        record = self.read("vc_world_state", WORLD_STATE)
        assert record is not None
        return record

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while not condition():
            assert self.process.poll() is None, "the world ended"
            assert time.monotonic() < deadline_s, "the world does not get there"
            pause.wait(0.02)

    def has_started(self, since_ns: int) -> bool:
        record = self.read("vc_world_state", WORLD_STATE)
        return record is not None and int(record["stamp_ns"]) > since_ns


def start(config: Path, runtime: Path) -> WorldProcess:
    since_ns = time.monotonic_ns()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sim2real.virtual_cell.world",
            "--config",
            str(config),
            "--runtime",
            str(runtime),
        ],
        cwd=ROOT,
    )
    world = WorldProcess(config, runtime, process)
    try:
        world.wait_for(lambda: runtime.exists() and world.has_started(since_ns))
    except BaseException:
        process.kill()
        process.wait()
        raise
    return world


@pytest.fixture
def world(tmp_path: Path, runtime_directory: Path) -> Iterator[WorldProcess]:
    running = start(write_config(tmp_path, "127.0.0.1"), runtime_directory)
    yield running
    running.process.kill()
    running.process.wait()


def follow(world: WorldProcess, seconds: float, amplitude_rad: float) -> None:
    """Play the robot controller: swing the first joint out and back."""
    box = Mailbox.open(world.runtime / "vc_joint_target", JOINT_TARGET)
    record = np.zeros((), JOINT_TARGET)
    record["brakes_released"] = 1
    pause = threading.Event()
    start_s = time.monotonic()
    while (now_s := time.monotonic() - start_s) < seconds:
        phase = 2 * np.pi * now_s / seconds
        record["stamp_ns"] = time.monotonic_ns()
        record["q"] = HOME
        record["q"][0] += amplitude_rad * (1 - np.cos(phase)) / 2
        record["qd"][0] = amplitude_rad * np.pi / seconds * np.sin(phase)
        box.write(record[()])
        pause.wait(0.002)
    box.close()


def test_the_world_ticks_beats_and_says_so(world: WorldProcess) -> None:
    first = int(world.joints()["tick"])

    world.wait_for(lambda: int(world.joints()["tick"]) > first + 600)

    report = TextMailbox(world.runtime / "vc_report", STATUS_CAPACITY)
    beats = Beats.open(world.runtime / "beats")
    tree = json.loads(report.read() or "{}")
    assert beats.age_s("world", time.monotonic_ns()) < 5.0
    assert tree["limit_violations"] == 0
    assert tree["violations_by_kind"] == {}
    assert 0.0 < tree["real_time_factor"] <= 1.0
    assert world.state()["parts_in_bin"] == 12
    report.close()
    beats.close()


@pytest.mark.alone
def test_the_arm_follows_the_controller_and_rests_when_it_is_gone(
    world: WorldProcess,
) -> None:
    moved: list[float] = []
    player = threading.Thread(target=follow, args=(world, 1.5, 0.8))
    player.start()

    def is_over() -> bool:
        moved.append(float(world.joints()["q"][0] - HOME[0]))
        return not player.is_alive()

    world.wait_for(is_over)
    player.join()

    assert max(moved) > 0.5
    world.wait_for(lambda: bool(np.abs(world.joints()["qd"]).max() < 1e-3))
    assert world.state()["limit_violations"] == 0


def test_a_refill_ordered_by_the_line_arrives_in_the_bin(world: WorldProcess) -> None:
    box = Mailbox.open(world.runtime / "vc_line_command", LINE_COMMAND)
    order = np.zeros((), LINE_COMMAND)
    box.write(order[()])
    first = int(world.joints()["tick"])
    world.wait_for(lambda: int(world.joints()["tick"]) > first + 10)

    order["refill_id"], order["refill_count"] = 1, 16
    box.write(order[()])

    world.wait_for(lambda: int(world.state()["refills"]) == 1)
    world.wait_for(
        lambda: int(world.state()["parts_in_bin"] + world.state()["parts_lost"]) >= 16
    )
    box.close()


def test_a_killed_world_comes_back_with_a_fresh_bin_in_the_same_mailboxes(
    world: WorldProcess,
) -> None:
    box = Mailbox.open(world.runtime / "vc_line_command", LINE_COMMAND)
    order = np.zeros((), LINE_COMMAND)
    order["refill_id"], order["refill_count"], order["take_id"] = 9, 20, 5
    box.write(order[()])
    world.process.kill()
    world.process.wait()

    second = start(world.config, world.runtime)
    try:
        second.wait_for(lambda: int(second.joints()["tick"]) > 400)

        assert second.joints()["q"] == pytest.approx(HOME, abs=1e-3)
        assert second.state()["parts_in_bin"] == 12
        assert second.state()["refills"] == 0
    finally:
        second.process.kill()
        second.process.wait()
        box.close()


def test_sigterm_ends_the_world_in_order_and_sigint_is_the_hosts_business(
    world: WorldProcess,
) -> None:
    world.process.send_signal(signal.SIGINT)
    first = int(world.joints()["tick"])
    world.wait_for(lambda: int(world.joints()["tick"]) > first + 50)

    world.process.send_signal(signal.SIGTERM)

    assert world.process.wait(timeout=10) == 0


def test_a_bad_configuration_ends_with_one_sentence_and_its_exit_code(
    tmp_path: Path, runtime_directory: Path
) -> None:
    config = write_config(tmp_path, "127.0.0.1", lambda tree: tree.update(nonsense=1))

    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "sim2real.virtual_cell.world",
            "--config",
            str(config),
            "--runtime",
            str(runtime_directory),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert ended.returncode == 3
    assert "nonsense" in ended.stderr
    assert "Traceback" not in ended.stderr
