"""What `check` says agrees with what `run` would do."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cell.contracts.errors import CellError
from cell.drivers.arm.dashboard import DashboardReport
from cell.drivers.clock import MonotonicClock
from ops.check import (
    check_guardian,
    check_model,
    note_identities,
    note_novelty,
    note_places,
    note_zones,
    run_check,
)
from ops.controller_lock import lock_runtime
from ops.device_probes import find_arm_problems, make_probes
from ops.exit_codes import ExitCode
from ops.guardian_watch import make_guardian
from ops.runtime_directory import open_runtime_directory
from ops.settings import Settings, load_settings
from policies.runtime.guardian_tensors import FEATURES
from tests.fakes import grasp_models
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


def test_devices_of_this_computer_beside_a_real_robot_are_noted(
    tmp_path: Path,
) -> None:
    def move_arm(tree: dict[str, Any]) -> None:
        tree["virtual_cell"]["enabled"] = False
        tree["arm"]["host"] = "192.168.1.10"

    def move_line(tree: dict[str, Any]) -> None:
        move_arm(tree)
        tree["plc"]["host"] = "192.168.1.20"

    def find(change: Callable[[dict[str, Any]], None]) -> list[str]:
        config = write_config(tmp_path, "127.0.0.1", change)
        notes = note_places(load_settings(config))
        assert all(note.is_good and note.is_warning for note in notes)
        return [note.detail.split()[0] for note in notes]

    assert note_places(settings_with(tmp_path)) == []
    near = ["gripper.host", "cameras.overhead.host", "cameras.wrist.host"]
    assert find(move_line) == near
    assert sorted(find(move_arm)) == sorted([*near, "plc.host"])


# --- zones and novelty -------------------------------------------------------------


def zone_notes(folder: Path, change: Callable[[dict[str, Any]], None]) -> list[str]:
    notes = note_zones(load_settings(write_config(folder, "127.0.0.1", change)))
    assert all(note.is_good and note.is_warning for note in notes)
    return [note.detail for note in notes]


def test_the_shipped_bin_and_outfeed_stand_in_their_zones(tmp_path: Path) -> None:
    assert note_zones(settings_with(tmp_path)) == []


def test_no_zones_at_all_are_one_note(tmp_path: Path) -> None:
    def clear(tree: dict[str, Any]) -> None:
        tree["safety"]["zones"] = []

    (note,) = zone_notes(tmp_path, clear)

    assert note.startswith("safety.zones is empty")


@pytest.mark.parametrize(
    ("name", "axis", "shift_m"),
    # Both zones end 0.21 and 0.18, or 0.1 m from the centre; the plate lies on top.
    [("bin", 0, 0.22), ("bin", 1, -0.19), ("outfeed", 0, 0.11), ("outfeed", 2, 0.01)],
)
def test_a_bin_or_outfeed_that_was_moved_without_its_zone_is_noted(
    name: str, axis: int, shift_m: float, tmp_path: Path
) -> None:
    def move_both(tree: dict[str, Any]) -> None:
        move(tree)
        zones = {zone["name"]: zone for zone in tree["safety"]["zones"]}
        zones[name]["centre_m"][axis] += shift_m

    def move(tree: dict[str, Any]) -> None:
        tree["cell"][name][f"base_from_{name}"]["position_m"][axis] += shift_m

    (note,) = zone_notes(tmp_path, move)

    assert note.startswith(f"the centre of cell.{name} lies in no box and no cylinder")
    assert "whoever moves one of them moves its zone as well" in note
    assert zone_notes(tmp_path, move_both) == []


@pytest.mark.parametrize(("radius_m", "is_enough"), [(0.3, True), (0.19, False)])
def test_a_cylinder_is_a_zone_like_another(
    radius_m: float, is_enough: bool, tmp_path: Path
) -> None:
    def exchange(tree: dict[str, Any]) -> None:
        cylinder = {
            "name": "round",
            "kind": "cylinder",
            "keeps_out": ["arm"],
            "centre_m": [-0.4, 0.48, 0.04],
            "radius_m": radius_m,
            "half_height_m": 0.04,
        }
        others = [one for one in tree["safety"]["zones"] if one["name"] != "bin"]
        tree["safety"]["zones"] = [*others, cylinder]

    assert len(zone_notes(tmp_path, exchange)) == int(not is_enough)


def test_a_floor_under_everything_is_no_zone_of_the_bin(tmp_path: Path) -> None:
    def sink(tree: dict[str, Any]) -> None:
        tree["cell"]["bin"]["base_from_bin"]["position_m"][2] = -0.05

    assert len(zone_notes(tmp_path, sink)) == 1


def test_a_model_that_answers_every_picture_is_noted(tmp_path: Path) -> None:
    grasp_models.write_model(tmp_path / "models" / "tiny")
    models = str(tmp_path / "models")

    (note,) = note_novelty(settings_with(tmp_path, directory=models, live="tiny"))

    assert (note.is_good, note.is_warning) == (True, True)
    assert "holds no novelty: every picture is answered" in note.detail
    assert note_novelty(settings_with(tmp_path)) == []
    assert note_novelty(settings_with(tmp_path, live="scripted")) == []
    # `check_model` says that it is missing.
    absent = settings_with(tmp_path, directory=models)
    assert note_novelty(absent) == []


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
