"""The parts of a stand that need no cell: addresses, files, logs, a held thread."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cell.contracts.errors import ConfigError
from sim2real.faults.evidence import LogReader
from sim2real.faults.frozen_thread import freeze_main_thread
from sim2real.faults.stand_config import Wire, lend_hosts, write_stand_files

HOSTS = ("127.77.0.2", "127.77.0.3")


@pytest.fixture
def config(repository: Path, tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_bytes((repository / "config.yaml").read_bytes())
    path.chmod(0o600)
    return path


def test_two_stands_never_share_an_address() -> None:
    with lend_hosts() as first, lend_hosts() as second:
        assert len({*first, *second}) == 4


def test_a_disturbed_wire_alone_leads_through_the_second_address(
    config: Path, tmp_path: Path
) -> None:
    wires = frozenset({Wire.LINE})

    files = write_stand_files(config, tmp_path, tmp_path / "memory", HOSTS, wires)

    cell = yaml.safe_load(files.cell.read_text())
    controller = yaml.safe_load(files.controller.read_text())
    assert {cell[name]["host"] for name in ("plc", "arm", "gripper")} == {HOSTS[0]}
    assert controller["plc"]["host"] == HOSTS[1]
    assert controller["arm"]["host"] == HOSTS[0]
    assert {c["host"] for c in controller["cameras"].values()} == {HOSTS[0]}
    assert cell["virtual_cell"]["enabled"]
    assert not cell["virtual_cell"]["autostart"]
    assert not controller["virtual_cell"]["enabled"]
    assert files.runtime != files.cell_runtime


@pytest.mark.parametrize(("limit", "expected"), [(10_000, 10_000), (None, 5)])
def test_a_stand_restarts_for_ever_or_as_often_as_the_cell(
    config: Path, tmp_path: Path, limit: int | None, expected: int
) -> None:
    files = write_stand_files(
        config, tmp_path, tmp_path / "memory", HOSTS, frozenset(), limit
    )

    assert files.settings.runtime.restart_limit == expected


def test_both_cameras_can_be_led_through_the_second_address(
    config: Path, tmp_path: Path
) -> None:
    wires = frozenset({Wire.CAMERA, Wire.WRIST})

    files = write_stand_files(config, tmp_path, tmp_path / "memory", HOSTS, wires)

    controller = yaml.safe_load(files.controller.read_text())
    cell = yaml.safe_load(files.cell.read_text())
    assert {c["host"] for c in controller["cameras"].values()} == {HOSTS[1]}
    assert {c["host"] for c in cell["cameras"].values()} == {HOSTS[0]}
    assert controller["arm"]["host"] == HOSTS[0]


def test_a_configuration_of_real_devices_is_refused(
    config: Path, tmp_path: Path
) -> None:
    tree: dict[str, Any] = yaml.safe_load(config.read_text())
    tree["cameras"]["wrist"] = {"kind": "realsense", "serial": "123"}
    config.write_text(yaml.safe_dump(tree))

    with pytest.raises(ConfigError, match=r"cameras\.wrist\.kind is realsense"):
        write_stand_files(config, tmp_path, tmp_path / "memory", HOSTS, frozenset())


def test_only_lines_from_after_the_opening_are_read_in_order(tmp_path: Path) -> None:
    early = {"event": "old", "timestamp": "2026-01-01T00:00:00.000000Z"}
    (tmp_path / "servo.jsonl").write_text(json.dumps(early) + "\n")
    (tmp_path / "supervisor.jsonl").touch()
    reader = LogReader(tmp_path)

    for source, second in (("supervisor", 7), ("servo", 5)):
        line = {
            "event": "state",
            "to": "HELD",
            "timestamp": f"2026-01-01T00:00:0{second}.250000Z",
        }
        with (tmp_path / f"{source}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n{")

    lines = reader.read()
    assert [line.source for line in lines] == ["servo", "supervisor"]
    assert lines[0].fields == {"to": "HELD"}
    assert lines[1].seen_ns - lines[0].seen_ns == 2_000_000_000


@pytest.fixture
def busy_child() -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield child.pid
    child.kill()
    child.wait()


def read_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_thread_is_held_for_a_while_and_its_parent_hears_nothing(
    busy_child: int,
) -> None:
    seen: list[str] = []
    ends = threading.Event()

    def look() -> None:
        while not ends.wait(0.01):
            seen.append(read_state(busy_child))

    watcher = threading.Thread(target=look)
    watcher.start()
    freeze_main_thread(busy_child, 0.2)
    ends.set()
    watcher.join()

    deadline_s = time.monotonic() + 5.0
    while read_state(busy_child) != "R" and time.monotonic() < deadline_s:
        pass
    assert "t" in seen
    assert read_state(busy_child) in "RS"
    assert os.waitpid(busy_child, os.WNOHANG | os.WUNTRACED) == (0, 0)
