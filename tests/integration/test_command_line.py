"""Bad input at the command line: one sentence, one exit code, nothing moves."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running_cell import ROOT, write_config

Change = Callable[[dict[str, Any]], None]


def run_cellward(
    *arguments: str, folder: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )


def start_with(
    folder: Path, host: str, change: Change
) -> "subprocess.CompletedProcess[str]":
    config = write_config(folder, host, change)
    return run_cellward("run", "--no-tty", "--for", "5s", "--config", str(config))


def assert_one_sentence(
    result: "subprocess.CompletedProcess[str]", code: int, *words: str
) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    for word in words:
        assert word in result.stderr


def test_an_unknown_key_is_named_with_its_nearest_known_one(
    tmp_path: Path, loopback_address: str
) -> None:
    def misspell(tree: dict[str, Any]) -> None:
        tree["motion"]["joint_sped_radps"] = 1.0

    result = start_with(tmp_path, loopback_address, misspell)

    assert_one_sentence(result, 3, "motion.joint_sped_radps", "joint_speed_radps")


def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    result = run_cellward("run", "--no-tty", "--config", str(tmp_path / "none.yaml"))

    assert_one_sentence(result, 3, "none.yaml")


def test_a_world_writable_configuration_is_refused(
    tmp_path: Path, loopback_address: str
) -> None:
    config = write_config(tmp_path, loopback_address)
    config.chmod(0o666)

    result = run_cellward("run", "--no-tty", "--config", str(config))

    assert_one_sentence(result, 3, "config.yaml", "chmod")


def test_a_taken_port_is_named_before_anything_starts(
    tmp_path: Path, loopback_address: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def take(tree: dict[str, Any]) -> None:
            tree["plc"]["port"] = port

        result = start_with(tmp_path, loopback_address, take)

    assert_one_sentence(result, 9, str(port), "another program")


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, loopback_address: str
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")

    def block(tree: dict[str, Any]) -> None:
        tree["runtime"]["state_directory"] = str(blocked / "state")

    result = start_with(tmp_path, loopback_address, block)

    assert_one_sentence(result, 8, str(blocked), "runtime.state_directory")


def test_a_duration_that_means_nothing_is_refused() -> None:
    assert_one_sentence(run_cellward("run", "--for", "soon"), 3, "'soon'", "90s")


def test_registers_print_in_every_form() -> None:
    for form in ("table", "csv", "markdown", "json"):
        result = run_cellward("registers", "--format", form)
        assert result.returncode == 0
        assert "heartbeat" in result.stdout

    assert_one_sentence(run_cellward("registers", "--format", "xml"), 2, "xml")


@pytest.mark.timeout(120)
def test_check_names_a_damaged_model_and_every_device(
    tmp_path: Path, loopback_address: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(ROOT / "policies" / "models", models)
    network = models / "heightmap" / "model.onnx"
    network.write_bytes(network.read_bytes()[:-1])

    def use_damaged(tree: dict[str, Any]) -> None:
        tree["policy"]["directory"] = str(models)

    config = write_config(tmp_path, loopback_address, use_damaged)
    result = run_cellward("check", "--json", "--config", str(config))

    assert result.returncode == 0, result.stderr
    findings = {row["name"]: row for row in json.loads(result.stdout)}
    assert findings["model"]["is_warning"]
    assert "model.onnx" in findings["model"]["detail"]
    for device in ("arm", "gripper", "plc", "camera overhead", "camera wrist"):
        assert findings[device]["is_good"], findings[device]


@pytest.mark.timeout(120)
def test_check_says_which_devices_do_not_answer(
    tmp_path: Path, loopback_address: str
) -> None:
    def no_virtual_cell(tree: dict[str, Any]) -> None:
        tree["virtual_cell"]["enabled"] = False

    config = write_config(tmp_path, loopback_address, no_virtual_cell)
    result = run_cellward("check", "--json", "--config", str(config))

    assert result.returncode == 4, result.stderr
    findings = {row["name"]: row for row in json.loads(result.stdout)}
    for device in ("arm", "gripper", "plc", "camera overhead"):
        assert not findings[device]["is_good"]
        assert findings[device]["detail"]


def test_check_tells_a_program_of_an_unusable_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("arm: 1\n")

    result = run_cellward("check", "--json", "--config", str(config))

    assert result.returncode == 3
    (finding,) = json.loads(result.stdout)
    assert finding["name"] == "configuration"
    assert not finding["is_good"]
    assert f"{config}, line 1, arm" in finding["detail"]
    assert f"{config}, line 1, arm" in result.stderr


def test_the_options_of_a_policy_command_are_shown() -> None:
    result = run_cellward("policy", "train", "--help")

    assert result.returncode == 0
    for option in ("--seed", "--fresh", "--quick", "--work", "--output"):
        assert option in result.stdout


def test_paths_of_a_policy_command_count_from_the_callers_folder(
    tmp_path: Path, loopback_address: str
) -> None:
    write_config(tmp_path, loopback_address)

    found = run_cellward("policy", "list", "--config", "config.yaml", folder=tmp_path)
    missing = run_cellward("policy", "evaluate", "./heightmap", folder=tmp_path)

    assert found.returncode == 0, found.stderr
    assert "heightmap" in found.stdout
    assert_one_sentence(missing, 6, "heightmap: no such model directory")


@pytest.mark.parametrize("number", ["-1", "65536", "anna", "1.5"])
def test_the_panel_refuses_what_is_no_number_of_a_person(number: str) -> None:
    result = run_cellward("panel", f"--person={number}", "ack")

    assert result.returncode == 2
    assert "is no number of a person; give 0 to 65535" in result.stderr
