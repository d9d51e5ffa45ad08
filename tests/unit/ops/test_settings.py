"""The configuration as a whole: every key of the shipped file is mutated."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cell.config import RealsenseCameraConfig, RtdeArmConfig, SimArmConfig
from cell.contracts.errors import ConfigError
from ops.settings import Settings, compute_digest, load_settings

SHIPPED = Path(__file__).resolve().parents[3] / "config.yaml"
TREE: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())

KeyPath = tuple[str | int, ...]


def walk(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if path:
        yield path, value
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from walk(inner, (*path, key))


def put(path: KeyPath, value: Any) -> dict[str, Any]:
    tree = copy.deepcopy(TREE)
    place: Any = tree
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return tree


def dotted(path: KeyPath) -> str:
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in path)[1:]


class PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def write(tree: Any, directory: Path) -> Path:
    path = directory / "config.yaml"
    path.write_text(yaml.dump(tree, Dumper=PlainDumper))
    path.chmod(0o644)
    return path


def load(tree: Any, directory: Path) -> Settings:
    return load_settings(write(tree, directory))


def refusal(tree: Any, directory: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tree, directory)
    return str(caught.value)


ALL = list(walk(TREE))
GROUPS = [path for path, value in ALL if isinstance(value, dict)]
LEAVES = [(path, value) for path, value in ALL if not isinstance(value, dict)]
NUMBERS = [path for path, value in LEAVES if type(value) in (int, float)]


def test_the_shipped_file_is_valid() -> None:
    settings = load_settings(SHIPPED)

    assert isinstance(settings.arm, RtdeArmConfig)
    assert settings.virtual_cell.enabled
    assert settings.cameras["wrist"].flange_from_camera is not None


@pytest.mark.parametrize("path", GROUPS, ids=dotted)
def test_an_unknown_key_is_refused_by_name(path: KeyPath, tmp_path: Path) -> None:
    message = refusal(put((*path, "frobnicate"), 1), tmp_path)

    # The keys of `cameras` are names, so any would do with the right content.
    reason = "is 1; it must" if path == ("cameras",) else "is not a known key"
    assert f"{dotted(path)}.frobnicate: {reason}" in message


_LISTS = (("safety", "zones"), ("safety", "tool"))


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=dotted)
def test_without_a_key_the_file_is_refused_or_means_the_same(
    path: KeyPath, tmp_path: Path
) -> None:
    tree = copy.deepcopy(TREE)
    place: Any = tree
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]

    try:
        settings = load(tree, tmp_path)
    except ConfigError:
        return

    # Of these there may be fewer: a camera, zones, capsules of the tool, groups.
    is_fewer = path[:2] in _LISTS and isinstance(path[-1], int)
    # Without them any device and any part is taken for the right one.
    is_identity = path[-1] in ("serial", "serial_number", "part")
    if path != ("cameras", "wrist") and not is_fewer and not is_identity:
        assert settings == load_settings(SHIPPED)


@pytest.mark.parametrize("path", [path for path, _ in LEAVES], ids=dotted)
def test_a_value_of_another_type_is_refused(path: KeyPath, tmp_path: Path) -> None:
    value = dict(LEAVES)[path]
    # Of these there may be fewer.
    is_open = path in _LISTS or path[-1] == "keeps_out"
    for wrong in wrong_values(value):
        if is_open and wrong in ([], value[:-1]):
            continue
        message = refusal(put(path, wrong), tmp_path)

        assert dotted(path) in message or f"{dotted(path[:-1])}:" in message


def wrong_values(value: Any) -> list[Any]:
    always = [{"a": 1}, [[]]]
    if isinstance(value, bool):
        return [*always, 0, 1, "true", "no", 0.5]
    if isinstance(value, int):
        return [*always, True, str(value)]
    if isinstance(value, float):
        return [*always, True, str(value), "no"]
    if isinstance(value, str):
        return [*always, 12, 1.5, True]
    return [{"a": 1}, [], "no", 1.5, value[:-1], [*value, 0.0]]


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_a_number_that_is_not_finite_is_refused(path: KeyPath, tmp_path: Path) -> None:
    for text in (".nan", ".inf", "-.inf"):
        message = refusal(put(path, float(text.replace(".", ""))), tmp_path)

        assert f"{dotted(path)}: is {text}" in message


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_an_absurd_number_is_refused(path: KeyPath, tmp_path: Path) -> None:
    for absurd in (10**10, -(10**10)):
        message = refusal(put(path, absurd), tmp_path)

        assert f"{dotted(path)}: is {absurd}; it must be" in message


def test_a_near_miss_is_named(tmp_path: Path) -> None:
    tree = copy.deepcopy(TREE)
    tree["arm"]["hots"] = tree["arm"].pop("host")

    message = refusal(tree, tmp_path)

    assert "arm.hots: is not a known key; did you mean 'host'?" in message
    assert "arm.host: is missing" in message


SLIPS: list[tuple[str, Any, str]] = [
    ("gripper.force_ratio", 40, "is 40; it must be less than or equal to 1"),
    ("plc.device_id", "1", "is '1'; it must be a whole number, without quotes"),
    ("virtual_cell.enabled", "no", "is 'no'; it must be true or false"),
    ("plc.device_id", 1.5, "is 1.5; it must be a whole number"),
    ("plc.word_order", "mixed", "is 'mixed'; it must be 'big' or 'little'"),
    ("plc.kind", "opc", "is of kind 'opc'; use one of 'modbus', 'sim'"),
    ("arm.host", "10.0.0.300", "'10.0.0.300' is not an IPv4 address"),
    ("arm.host", "ro bot", "'ro bot' is neither an IPv4 address nor a host"),
    ("arm.host", "192.168.1.10", "virtual_cell.enabled is true, but arm.host"),
    ("arm.serial_number", "2021-55", "is '2021-55'; it must match pattern"),
    ("arm.serial_number", "2" * 33, "it must match pattern"),
    ("cameras.overhead.serial", "83-83", "is '83-83'; it must match pattern"),
    ("cell.part.width_max_m", 0.004, "width_min_m is 0.0045, it must be less than"),
    ("cell.part.mass_min_kg", 1.6, "mass_min_kg is 1.6, it must be less than"),
    ("cell.part.mass_max_kg", 0.0, "it must be greater than 0"),
    ("arm.frequency_hz", 1000, "is 1000; it must be less than or equal to 500"),
    ("runtime.directory", "here", "'here' must be empty or an absolute path"),
    ("safety.freshness_s", 0.2, "must be less than or equal to 0.1"),
    ("safety.tcp_speed_mps", 3.5, "must be less than or equal to 3"),
    ("motion.joint_speed_radps", 3.1, "above the 3.0 of safety.joint_speed_radps"),
    ("safety.joint_jerk_radps3", [50.0] * 6, "the 50.0 of safety.joint_jerk_radps3"),
    ("safety.tool", [], "safety.tool is empty"),
    ("arm.watchdog_hz", 5.0, "arm.watchdog_hz is 5.0"),
    (
        "arm.home_q_rad",
        [0.86, -1.57, 1.62, -1.62, -1.57, -0.71],
        "outside the workspace",
    ),
    ("motion.linear_speed_mps", 1.6, "above the 1.5 of safety.tcp_speed_mps"),
    ("supervisor.command_period_s", 0.05, "at least 3 x supervisor.command_period"),
    ("plc.heartbeat_timeout_s", 0.12, "plc: heartbeat_timeout_s must cover"),
    ("plc.timeout_s", 0.3, "timeout_s must be smaller than heartbeat"),
    ("plc.heartbeat_timeout_s", 0.31, "must be less than or equal to 0.3"),
    ("runtime.restart_limit", -1, "must be greater than or equal to 0"),
    ("runtime.restart_limit", 10_001, "must be less than or equal to 10000"),
    ("cell.heightmap.pixel_m", 0.001, "heightmap covers 0.096 m, less"),
    ("arm.flange_from_tcp.position_m", [0.0, 0.0, 1.5], "arm.flange_from_tcp is 1.5"),
    ("plc.host", "192.168.1.10", "but plc.host is 192.168.1.10"),
    ("cameras.wrist.host", "10.0.0.7", "but cameras.wrist.host is 10.0.0.7"),
    ("virtual_cell.refill_below", 12, "refill_below must be smaller than"),
    ("policy.live", "Heightmap", "is 'Heightmap'; it must match pattern"),
    ("policy.minimum_score", 0.04, "must be greater than or equal to 0.05"),
    ("policy.minimum_score", 0.91, "must be less than or equal to 0.9"),
    ("policy.deadline_s", 0.19, "must be greater than or equal to 0.2"),
    ("policy.deadline_s", 2.1, "must be less than or equal to 2"),
    ("policy.compensation_confidence", 0.49, "must be greater than or equal to 0.5"),
    ("guardian.return_agreement_min", 0.04, "must be greater than or equal to 0.05"),
    ("arm.lookahead_s", 0.06, "must be less than or equal to 0.05"),
    ("arm.gain", 999, "must be greater than or equal to 1000"),
    ("cell.part.mass_max_kg", 5.1, "must be less than or equal to 5"),
    ("cell.part.width_max_m", 0.085, "less than gripper.max_aperture_m, 0.085"),
    ("gripper.max_aperture_m", 0.078, "cell.part.width_max_m is 0.078; it must be"),
    ("motion.retreat_height_m", 0.119, "motion.retreat_height_m is 0.119; a part"),
    ("motion.approach_height_m", 0.069, "motion.approach_height_m is 0.069; the"),
    ("cell.bin.wall_height_m", 0.091, "give 0.141 at least, 0.05 more than cell.bin"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), SLIPS)
def test_a_slip_is_explained_in_one_sentence(
    path: str, value: Any, sentence: str, tmp_path: Path
) -> None:
    message = refusal(put(tuple(path.split(".")), value), tmp_path)

    assert sentence in message
    assert message.startswith(str(tmp_path / "config.yaml"))
    assert "\n" not in message


_IN_THE_WAY = {
    "name": "in_the_way",
    "kind": "box",
    "keeps_out": ["tool"],
    "centre_m": [0.22, 0.46, 0.4],
    "half_m": [0.1, 0.1, 0.1],
}

BETWEEN_ITEMS: list[tuple[KeyPath, Any, str]] = [
    (("safety", "zones"), [_IN_THE_WAY], "no room for arm.home_q_rad: gripper and"),
    (
        ("safety", "zones"),
        [{**_IN_THE_WAY, "kind": "sphere"}],
        "zones[0]: is of kind 'sphere'; use one of 'box', 'cylinder', 'half_space'",
    ),
    (
        ("safety", "zones"),
        [{**_IN_THE_WAY, "half_m": [0.1, 0.0, 0.1]}],
        "half_m[1]: is 0.0; it must be greater than 0",
    ),
    (
        ("safety", "zones", 1, "name"),
        "table",
        "zones holds the name 'table' twice",
    ),
    (("safety", "zones", 0, "normal"), [0.0, 0.0, 0.5], "give a unit vector"),
    (("safety", "zones", 0, "keeps_out"), ["arms"], "it must be 'arm', 'tool'"),
    (
        ("safety", "zones"),
        [{**_IN_THE_WAY, "frame": "bin"}],
        "frame: is 'bin'; it must be 'base'",
    ),
    (
        ("safety", "tool", 0),
        {**TREE["safety"]["tool"][0], "frame": "base"},
        "frame: is 'base'; it must be 'flange'",
    ),
    (("safety", "tool", 0, "radius_m"), 0.0, "must be greater than or equal to 0.005"),
    (("safety", "tool", 0, "name"), "forearm", "'forearm' is the name of a link"),
    (("safety", "tool", 0, "group"), "arm", "it must be 'tool' or 'fingers'"),
    (("arm", "home_q_rad", 1), 0.5, "arm.home_q_rad[1] is 0.5, outside the joint"),
    (("safety", "workspace_min_m", 0), 0.6, "workspace_min_m[0] is 0.6, which is not"),
    (("safety", "joint_max_rad", 2), -3.0, "joint_min_rad[2] is -2.9, which is not"),
    (("safety", "joint_speed_radps", 5), 3.2, "joint_speed_radps[5]: is 3.2; it must"),
    (("cell", "bin", "base_from_bin", "position_m", 1), 1.2, "outside the workspace"),
    (
        ("cameras", "Top View"),
        TREE["cameras"]["wrist"],
        "cameras.Top View: is 'Top View'; it",
    ),
    (
        ("cameras", "wrist", "base_from_camera"),
        TREE["cameras"]["overhead"]["base_from_camera"],
        "cameras.wrist: needs exactly one of base_from_camera (fixed) and",
    ),
]


@pytest.mark.parametrize(("path", "value", "sentence"), BETWEEN_ITEMS)
def test_a_slip_deep_in_the_tree_is_named(
    path: KeyPath, value: Any, sentence: str, tmp_path: Path
) -> None:
    assert sentence in refusal(put(path, value), tmp_path)


def test_without_an_overhead_camera_the_file_is_refused(tmp_path: Path) -> None:
    tree = copy.deepcopy(TREE)
    tree["cameras"]["top"] = tree["cameras"].pop("overhead")

    assert "one called 'overhead'" in refusal(tree, tmp_path)


def test_a_line_that_would_always_count_as_lost_is_refused(tmp_path: Path) -> None:
    tree = copy.deepcopy(TREE)
    tree["plc"] |= {"period_s": 0.01, "timeout_s": 0.02, "heartbeat_timeout_s": 0.05}

    assert "plc.heartbeat_timeout_s is 0.05; it must cover" in refusal(tree, tmp_path)


@pytest.mark.parametrize(
    ("period_s", "turn_s", "answer"),
    # 0.3 - 2.5 x 0.02 + 0.02 + 2 x 0.02, and 0.3 / 2 + 0.1 + 2 x 0.03
    [(0.02, 0.02, "0.310 s"), (0.1, 0.03, "0.310 s")],
)
def test_a_standing_heartbeat_that_would_be_answered_late_is_refused(
    period_s: float, turn_s: float, answer: str, tmp_path: Path
) -> None:
    tree = copy.deepcopy(TREE)
    tree["plc"] |= {"period_s": period_s, "timeout_s": 0.05}
    tree["supervisor"]["command_period_s"] = turn_s
    tree["safety"]["freshness_s"] = 0.09

    assert f"is answered after {answer}" in refusal(tree, tmp_path)


@pytest.mark.parametrize(
    ("period_s", "turn_s"),
    # 0.3 / 2 + 0.1 + 2 x 0.025, and 0.3 - 2.5 x 0.03 + 0.03 + 2 x 0.02
    [(0.1, 0.025), (0.03, 0.02)],
)
def test_a_standing_heartbeat_may_take_the_time_that_is_stated(
    period_s: float, turn_s: float, tmp_path: Path
) -> None:
    tree = copy.deepcopy(TREE)
    tree["plc"] |= {"period_s": period_s, "timeout_s": 0.05}
    tree["supervisor"]["command_period_s"] = turn_s
    tree["safety"]["freshness_s"] = 0.09

    assert load(tree, tmp_path).plc.period_s == period_s


@pytest.mark.parametrize("limit", [0, 5, 6, 10_000])
@pytest.mark.parametrize("host", ["127.0.0.9", "192.168.1.10", "ur-1.plant"])
def test_only_a_virtual_robot_stands_many_restarts(
    limit: int, host: str, tmp_path: Path
) -> None:
    tree = copy.deepcopy(TREE)
    tree["runtime"]["restart_limit"] = limit
    tree["virtual_cell"]["enabled"] = False
    tree["arm"]["host"] = host

    if limit <= 5 or host.startswith("127."):
        assert load(tree, tmp_path).runtime.restart_limit == limit
    else:
        assert f"runtime.restart_limit is {limit}; a process" in refusal(tree, tmp_path)


REPLAYED = {
    "kind": "replay",
    "directory": "recorded",
    "base_from_camera": TREE["cameras"]["overhead"]["base_from_camera"],
}


@pytest.mark.parametrize("host", ["127.0.0.9", "192.168.1.10", "ur-1.plant"])
@pytest.mark.parametrize(
    ("path", "device"),
    [
        (("cameras", "overhead"), REPLAYED),
        (("gripper",), {"kind": "sim"}),
        (("plc",), {"kind": "sim"}),
    ],
)
def test_a_real_robot_takes_no_recorded_and_no_simulated_device(
    path: KeyPath, device: dict[str, Any], host: str, tmp_path: Path
) -> None:
    tree = put(path, device)
    tree["virtual_cell"]["enabled"] = False
    tree["arm"]["host"] = host

    if host.startswith("127."):
        load(tree, tmp_path)
    else:
        reason = f"{dotted(path)}.kind is {device['kind']}: a real robot would"
        assert reason in refusal(tree, tmp_path)


@pytest.mark.parametrize(
    ("wall_m", "retreat_m", "approach_m"),
    # A part hangs down by 50 mm; low walls leave that to be cleared at the outfeed.
    [(0.07, 0.12, 0.07), (0.03, 0.08, 0.05), (0.2, 0.25, 0.2)],
)
def test_the_arm_leaves_the_bin_upwards_with_whatever_it_holds(
    wall_m: float, retreat_m: float, approach_m: float, tmp_path: Path
) -> None:
    tree = put(("cell", "bin", "wall_height_m"), wall_m)
    heights = {"retreat_height_m": retreat_m, "approach_height_m": approach_m}
    tree["motion"] |= heights
    load(tree, tmp_path)

    for key, height_m in heights.items():
        tree["motion"] |= heights | {key: height_m - 0.001}
        assert f"motion.{key} is {height_m - 0.001}" in refusal(tree, tmp_path)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize(
    ("speed", "rate"), [(3.0, 30.0), (1.0, 10.0), (2.1, 21.0), (2.9, 29.0)]
)
def test_a_ramp_to_rest_takes_a_tenth_of_a_second_at_most(
    speed: float, rate: float, joint: int, tmp_path: Path
) -> None:
    tree = copy.deepcopy(TREE)
    tree["motion"] |= {
        "joint_speed_radps": 0.1,
        "joint_acceleration_radps2": 1.0,
    }
    limits = tree["safety"]
    limits["joint_speed_radps"][joint] = speed
    limits["joint_acceleration_radps2"][joint] = rate
    load(tree, tmp_path)

    limits["joint_acceleration_radps2"][joint] = 0.99 * rate
    message = refusal(tree, tmp_path)

    assert f"safety.joint_acceleration_radps2[{joint}] is" in message
    assert f"{speed} of safety.joint_speed_radps[{joint}] takes 0.101 s" in message


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        # A rule within a section, one between sections, one of a section in a section.
        (("safety", "joint_min_rad"), [6.0] * 6, "- 6.0"),
        (("motion", "retreat_height_m"), 0.06, "retreat_height_m: 0.06"),
        (("cell", "part", "width_min_m"), 0.5, "width_min_m: 0.5"),
    ],
)
def test_a_rule_is_told_with_the_line_of_the_key_that_breaks_it(
    path: KeyPath, value: Any, line: str, tmp_path: Path
) -> None:
    message = refusal(put(path, value), tmp_path)

    number = int(message.partition(", line ")[2].partition(",")[0].partition(":")[0])
    written = (tmp_path / "config.yaml").read_text().splitlines()
    assert written[number - 1].strip() == line


def test_a_section_that_is_missing_is_told_with_a_line(tmp_path: Path) -> None:
    tree = {key: value for key, value in TREE.items() if key != "plc"}

    assert "config.yaml, line 1, plc: is missing" in refusal(tree, tmp_path)


def test_a_guard_that_brakes_for_minutes_is_refused(tmp_path: Path) -> None:
    tree = put(("safety", "joint_acceleration_radps2"), [0.01] * 6)
    tree["motion"]["joint_acceleration_radps2"] = 0.01

    assert "takes 300 s, and 0.1 s are allowed" in refusal(tree, tmp_path)


@pytest.mark.parametrize(
    ("path", "ends"),
    [
        ("policy.minimum_score", (0.05, 0.9)),
        ("policy.deadline_s", (0.2, 2.0)),
        ("policy.compensation_confidence", (0.5, 1.0)),
        ("guardian.return_agreement_min", (0.05, 1.0)),
        ("arm.lookahead_s", (0.03, 0.05)),
        ("arm.gain", (1000, 2000)),
        ("cell.part.mass_max_kg", (0.1, 5.0)),
        ("cell.part.width_max_m", (0.0046, 0.0849)),
    ],
)
def test_the_ends_of_a_range_belong_to_it(
    path: str, ends: tuple[float, float], tmp_path: Path
) -> None:
    for end in ends:
        load(put(tuple(path.split(".")), end), tmp_path)


@pytest.mark.parametrize(
    ("name", "mount", "sentence"),
    [
        ("overhead", "flange_from_camera", "needs base_from_camera"),
        ("wrist", "base_from_camera", "needs flange_from_camera"),
    ],
)
def test_the_virtual_cell_refuses_a_camera_it_cannot_mount(
    name: str, mount: str, sentence: str, tmp_path: Path
) -> None:
    tree = copy.deepcopy(TREE)
    camera = tree["cameras"][name]
    pose = camera.pop("base_from_camera", None) or camera.pop("flange_from_camera")
    camera[mount] = pose

    assert sentence in refusal(tree, tmp_path)
    tree["virtual_cell"]["enabled"] = False
    load(tree, tmp_path)


def test_the_virtual_cell_needs_a_line_it_can_serve(tmp_path: Path) -> None:
    tree = put(("plc",), {"kind": "sim"})

    assert "has a line PLC of kind modbus" in refusal(tree, tmp_path)


def test_a_file_that_changed_since_the_start_is_refused(tmp_path: Path) -> None:
    path = write(TREE, tmp_path)
    digest = compute_digest(path.read_bytes())
    load_settings(path, digest)

    path.write_text(path.read_text() + "# an edit during the run\n")

    with pytest.raises(ConfigError, match="was changed since the cell was started"):
        load_settings(path, digest)


def test_many_errors_are_counted_after_the_first_few(tmp_path: Path) -> None:
    message = refusal({**TREE, "safety": {}}, tmp_path)

    assert message.count("\n") == 5
    assert "more errors" in message.splitlines()[-1]


def test_the_real_cell_needs_only_the_devices_changed(tmp_path: Path) -> None:
    tree = copy.deepcopy(TREE)
    tree["arm"]["host"] = "192.168.1.10"
    tree["gripper"]["host"] = "192.168.1.10"
    tree["plc"]["host"] = "line-plc.local"
    tree["cameras"]["overhead"] = realsense("829212070000")
    del tree["cameras"]["wrist"]
    tree["virtual_cell"]["enabled"] = False

    settings = load(tree, tmp_path)

    assert isinstance(settings.cameras["overhead"], RealsenseCameraConfig)


def test_one_of_every_kind_loads(tmp_path: Path) -> None:
    tree = copy.deepcopy(TREE)
    kept = ("flange_from_tcp", "gripper_mass_kg", "home_q_rad")
    tree["arm"] = {"kind": "sim"} | {key: TREE["arm"][key] for key in kept}
    tree["gripper"] = {"kind": "sim"}
    tree["plc"] = {"kind": "sim"}
    tree["virtual_cell"]["enabled"] = False
    tree["cameras"]["usb"] = realsense("1")
    tree["cameras"]["old"] = REPLAYED

    assert isinstance(load(tree, tmp_path).arm, SimArmConfig)


def test_a_serial_number_without_quotes_is_explained(tmp_path: Path) -> None:
    message = refusal(put(("cameras", "wrist"), realsense(829212070000)), tmp_path)

    assert "is 829212070000; it must be text; put it in quotes" in message


def realsense(serial: str | int) -> dict[str, Any]:
    pose = TREE["cameras"]["overhead"]["base_from_camera"]
    return {"kind": "realsense", "serial": serial, "base_from_camera": pose}


def test_settings_cannot_be_changed_after_loading() -> None:
    settings = load_settings(SHIPPED)

    with pytest.raises(ValidationError, match="frozen"):
        settings.safety.freshness_s = 1.0  # type: ignore[misc]


def test_a_misspelt_policy_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    message = refusal(put(("policy", "live"), "heigthmap"), tmp_path)

    assert "policy.live is 'heigthmap'" in message
    assert "heightmap, scripted" in message


def test_a_known_policy_whose_files_are_gone_is_no_error_of_the_configuration(
    tmp_path: Path,
) -> None:
    settings = load(put(("policy", "directory"), str(tmp_path)), tmp_path)

    assert settings.policy.live == "heightmap"


def test_only_a_policy_without_a_model_can_be_the_fallback(tmp_path: Path) -> None:
    message = refusal(put(("policy", "fallback"), "heightmap"), tmp_path)

    assert "policy.fallback" in message
    assert "scripted" in message
