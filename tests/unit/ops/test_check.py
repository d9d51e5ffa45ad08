"""What `check` says agrees with what `run` would do."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cell.contracts.errors import CellError
from cell.drivers.arm.dashboard import DashboardReport
from cell.drivers.clock import MonotonicClock
from ops.check import check_guardian, check_model, note_identities, run_check
from ops.controller_lock import lock_runtime
from ops.device_probes import find_arm_problems, make_probes
from ops.exit_codes import ExitCode
from ops.guardian_watch import make_guardian
from ops.runtime_directory import open_runtime_directory
from ops.settings import Settings, load_settings
from policies.runtime.guardian_tensors import FEATURES
from tests.fakes.guardian_models import (
    CALIBRATION,
    make_manifest,
    make_model_bytes,
    write_guardian,
)
from tests.running_cell import write_config


def settings_with(folder: Path, **policy: Any) -> Settings:
    def change(tree: dict[str, Any]) -> None:
        tree["policy"].update(policy)

    return load_settings(write_config(folder, "127.0.0.1", change))


def look(settings: Settings) -> str:
    """Probe the camera over the bin, in a loop whose threads end with it."""

    async def run() -> str:
        return await make_probes(settings)["camera overhead"]()

    return asyncio.run(run())


def test_the_shipped_model_is_loaded_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    finding = check_model(settings_with(tmp_path, directory="policies/models"))

    assert finding.is_good
    assert not finding.is_warning
    assert finding.detail.startswith("heightmap-")


def test_the_scripted_policy_needs_no_model(tmp_path: Path) -> None:
    finding = check_model(settings_with(tmp_path, live="scripted"))

    assert (finding.is_good, finding.is_warning) == (True, False)


def test_a_model_that_does_not_fit_the_cell_is_told_with_who_picks_instead(
    tmp_path: Path,
) -> None:
    def coarsen(tree: dict[str, Any]) -> None:
        tree["cell"]["heightmap"]["size_px"] = 104

    finding = check_model(load_settings(write_config(tmp_path, "127.0.0.1", coarsen)))

    assert finding.is_warning
    assert "104" in finding.detail
    assert "scripted-1 picks in place of heightmap" in finding.detail


def test_what_is_not_compared_is_noted_with_what_to_enter(
    tmp_path: Path,
) -> None:
    def forget(tree: dict[str, Any]) -> None:
        tree["arm"]["serial_number"] = ""
        tree["cameras"]["wrist"]["serial"] = ""
        del tree["cell"]["part"]

    notes = note_identities(load_settings(write_config(tmp_path, "127.0.0.1", forget)))

    assert all(note.is_good and note.is_warning for note in notes)
    keys = ("arm.serial_number", "cameras.wrist.serial", "cell.part")
    assert [key in note.detail for key, note in zip(keys, notes, strict=True)] == [
        True
    ] * len(keys)


def test_the_shipped_configuration_names_its_devices(tmp_path: Path) -> None:
    assert note_identities(settings_with(tmp_path)) == []


# --- the Guardian ------------------------------------------------------------------


def settings_with_guardian(folder: Path, **changes: Any) -> Settings:
    write_guardian(folder / "models" / "tiny", **changes)

    def change(tree: dict[str, Any]) -> None:
        tree["policy"]["directory"] = str(folder / "models")
        tree["guardian"]["model"] = "tiny"

    return load_settings(write_config(folder, "127.0.0.1", change))


def test_the_shipped_guardian_is_loaded(tmp_path: Path) -> None:
    (finding,) = check_guardian(settings_with(tmp_path))

    assert (finding.is_good, finding.is_warning) == (True, False)
    assert finding.detail.startswith("guardian-")


def test_where_nothing_learned_picks_no_guardian_is_looked_for(tmp_path: Path) -> None:
    assert check_guardian(settings_with(tmp_path, live="scripted")) == []


def _narrow(name: str) -> dict[str, Any]:
    tree = json.loads(make_manifest(make_model_bytes()).model_dump_json())
    tree[name][0]["shape"] = [1, 3]
    return {name: tree[name]}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"calibration": None}, "calibration: Field required"),
        (_narrow("inputs"), "inputs and outputs"),
        (_narrow("outputs"), "inputs and outputs"),
        ({"features": ["score", "grip_m"]}, "features"),
        ({"content": make_model_bytes(columns=len(FEATURES) + 1)}, "features"),
    ],
)
def test_a_guardian_that_will_not_do_is_told_by_its_key_before_anything_is_armed(
    changes: dict[str, Any], key: str, tmp_path: Path
) -> None:
    (finding,) = check_guardian(settings_with_guardian(tmp_path, **changes))

    # The fallback picks, so nothing keeps the cell from starting.
    assert finding.is_good
    assert finding.is_warning
    assert key in finding.detail


def _spoil(**chart: Any) -> dict[str, Any]:
    spoilt = CALIBRATION.charts[0].model_copy(update=chart)
    return {"charts": (spoilt,)}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (_spoil(failed_nat=(-1.0, -1.0)), "calibration.charts"),
        (
            _spoil(
                placed_nat=(-6.0, -6.0), failed_nat=(-6.0, -6.0), threshold_nat=50.0
            ),
            "calibration.charts",
        ),
        ({"good_ratio": 0.82}, "calibration.good_ratio"),
        ({"good_ratio": 0.9996}, "calibration.good_ratio"),
    ],
)
def test_a_guardian_whose_calibration_makes_no_test_is_told_by_its_key(
    changes: dict[str, Any], key: str, tmp_path: Path
) -> None:
    senseless = CALIBRATION.model_copy(update=changes)
    settings = settings_with_guardian(
        tmp_path, calibration=json.loads(senseless.model_dump_json())
    )

    (finding,) = check_guardian(settings)

    assert finding.is_warning
    assert key in finding.detail
    # The supervisor starts all the same, and trusts nothing.
    peers, client = make_guardian(settings, tmp_path, MonotonicClock())
    assert peers is not None
    assert (peers.guardian, client) == (None, None)


def test_another_controller_is_one_finding_among_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, "127.0.0.1")
    runtime = open_runtime_directory(str(tmp_path / "runtime"))

    with lock_runtime(runtime):
        code = run_check(config, as_json=True)

    findings = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert code is ExitCode.ALREADY_RUNNING
    assert findings["model"]["is_good"]
    assert not findings["this computer"]["is_good"]
    assert "another controller is running" in findings["this computer"]["detail"]


def test_a_recording_that_is_not_there_is_no_camera(tmp_path: Path) -> None:
    path = write_config(tmp_path, "127.0.0.1")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    pose = tree["cameras"]["overhead"]["base_from_camera"]
    tree["cameras"]["overhead"] = {
        "kind": "replay",
        "directory": str(tmp_path / "nothing"),
        "base_from_camera": pose,
    }
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")

    with pytest.raises(CellError, match="no recording in"):
        look(load_settings(path))


def test_a_usb_camera_that_is_not_plugged_in_is_named_by_its_serial_number(
    tmp_path: Path,
) -> None:
    path = write_config(tmp_path, "127.0.0.1")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    pose = tree["cameras"]["overhead"]["base_from_camera"]
    tree["cameras"]["overhead"] = {
        "kind": "realsense",
        "serial": "0123456789",
        "base_from_camera": pose,
    }
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")

    with pytest.raises(CellError, match="0123456789"):
        look(load_settings(path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"robot_mode": "POWER_OFF"}, "release brakes"),
        ({"safety_mode": "PROTECTIVE_STOP"}, "see the pendant"),
        ({"is_remote": False}, "switch it over"),
    ],
)
def test_what_has_to_be_done_at_the_pendant_is_said(
    changes: dict[str, Any], sentence: str
) -> None:
    good: dict[str, Any] = {
        "version": (5, 12, 0),
        "robot_mode": "RUNNING",
        "safety_mode": "NORMAL",
        "is_remote": True,
    }

    assert find_arm_problems(DashboardReport(**good)) == []
    problems = find_arm_problems(DashboardReport(**(good | changes)))
    assert [sentence in problem for problem in problems] == [True]
