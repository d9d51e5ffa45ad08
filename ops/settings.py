"""The whole configuration as one typed tree, and the rules between its sections."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import ValidationError, model_validator

from cell.config import (
    ArmConfig,
    CameraConfig,
    CameraName,
    CellGeometryConfig,
    GripperConfig,
    MotionConfig,
    PlcConfig,
    RtdeArmConfig,
    RuntimeConfig,
    SupervisorConfig,
)
from cell.contracts.errors import ConfigError
from cell.contracts.model import Section
from ops.config_file import read_config_file
from ops.config_sentences import describe
from ops.section_rules import (
    check_braking,
    check_devices_are_as_real,
    check_heights,
    check_part,
    host_of,
    is_loopback,
    is_real,
)
from ops.strict_yaml import parse_strict_yaml
from ops.virtual_cell_config import VirtualCellConfig
from policies.config import KNOWN_POLICIES, SCRIPTED, GuardianConfig, PolicyConfig
from safety.capsules import make_surroundings
from safety.config import SafetyConfig
from safety.home import find_home_conflict
from safety.limits import make_limits
from safety.plain_frames import compute_frames

_ROOT = Path(__file__).resolve().parent.parent
# What the servo process and the plan to rest count on; tests of drivers may be slower.
_LEAST_WATCHDOG_HZ = 10.0
# The fault list's figure for a crash loop, within ten minutes.
_MOST_RESTARTS = 5
# From a line that is dead to the stop of an arm that moves.
_LINE_LOSS_S = 0.3


class Settings(Section):
    """Everything in `config.yaml`; each section belongs to the folder that uses it."""

    runtime: RuntimeConfig = RuntimeConfig()
    arm: ArmConfig
    gripper: GripperConfig
    cameras: Mapping[CameraName, CameraConfig]
    plc: PlcConfig
    cell: CellGeometryConfig
    motion: MotionConfig = MotionConfig()
    safety: SafetyConfig
    policy: PolicyConfig
    guardian: GuardianConfig = GuardianConfig()
    supervisor: SupervisorConfig = SupervisorConfig()
    virtual_cell: VirtualCellConfig

    @model_validator(mode="after")
    def _overhead_camera_exists(self) -> Self:
        if "overhead" not in self.cameras:
            raise ValueError("cameras: needs one called 'overhead', which sees the bin")
        return self

    @model_validator(mode="after")
    def _motion_stays_below_the_guard(self) -> Self:
        pairs = (
            ("joint_speed_radps", min(self.safety.joint_speed_radps)),
            ("joint_acceleration_radps2", min(self.safety.joint_acceleration_radps2)),
            ("joint_jerk_radps3", min(self.safety.joint_jerk_radps3)),
        )
        for name, limit in pairs:
            wanted = getattr(self.motion, name)
            if wanted > limit:
                raise ValueError(
                    f"motion.{name} is {wanted}, above the {limit} of safety.{name};"
                    " the guard would stop every fast move"
                )
        if self.motion.linear_speed_mps > self.safety.tcp_speed_mps:
            raise ValueError(
                f"motion.linear_speed_mps is {self.motion.linear_speed_mps}, above"
                f" the {self.safety.tcp_speed_mps} of safety.tcp_speed_mps"
            )
        return self

    @model_validator(mode="after")
    def _commands_stay_fresh(self) -> Self:
        if self.safety.freshness_s < 3 * self.supervisor.command_period_s * (1 - 1e-9):
            raise ValueError(
                "safety.freshness_s must cover at least 3 x"
                " supervisor.command_period_s, or every late command stops the arm"
            )
        return self

    @model_validator(mode="after")
    def _home_lies_within_the_joint_limits(self) -> Self:
        joints = zip(
            self.safety.joint_min_rad,
            self.arm.home_q_rad,
            self.safety.joint_max_rad,
            strict=True,
        )
        for index, (low, home, high) in enumerate(joints):
            if not low < home < high:
                raise ValueError(
                    f"arm.home_q_rad[{index}] is {home}, outside the joint limits"
                    f" {low} to {high} of safety"
                )
        return self

    @model_validator(mode="after")
    def _robot_watches_quickly_enough(self) -> Self:
        arm = self.arm
        if isinstance(arm, RtdeArmConfig) and arm.watchdog_hz < _LEAST_WATCHDOG_HZ:
            raise ValueError(
                f"arm.watchdog_hz is {arm.watchdog_hz}; the robot has to end its"
                f" program after 0.1 s without us: give {_LEAST_WATCHDOG_HZ} at least"
            )
        return self

    @model_validator(mode="after")
    def _tool_has_a_capsule(self) -> Self:
        if not self.safety.tool:
            raise ValueError(
                "safety.tool is empty: nothing of what the arm carries would be kept"
                " clear of anything; enclose the gripper at least"
            )
        return self

    @model_validator(mode="after")
    def _bin_and_outfeed_lie_in_the_workspace(self) -> Self:
        places = {
            "cell.bin.base_from_bin": self.cell.bin.base_from_bin,
            "cell.outfeed.base_from_outfeed": self.cell.outfeed.base_from_outfeed,
        }
        for name, place in places.items():
            # Their height may lie below: the tool stays above the floor.
            for axis in (0, 1):
                low = self.safety.workspace_min_m[axis]
                high = self.safety.workspace_max_m[axis]
                if not low <= place.position_m[axis] <= high:
                    raise ValueError(
                        f"{name}.position_m[{axis}] is {place.position_m[axis]},"
                        f" outside the workspace {low} to {high} of safety"
                    )
        return self

    @model_validator(mode="after")
    def _guard_takes_the_limits(self) -> Self:
        tool = self.arm.flange_from_tcp.pose()
        try:
            make_limits(self.safety, tool, 1.0 / self.arm.frequency_hz)
            around, names = make_surroundings(self.safety, tool)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        conflict = find_home_conflict(np.array(self.arm.home_q_rad), around, names)
        if conflict:
            raise ValueError(
                f"safety.zones leave no room for arm.home_q_rad: {conflict}; move the"
                " zone or the home place"
            )
        return self

    @model_validator(mode="after")
    def _home_lies_in_the_workspace(self) -> Self:
        flange = compute_frames(np.array(self.arm.home_q_rad))[-1]
        tcp = flange @ self.arm.flange_from_tcp.pose().as_matrix()
        for axis in range(3):
            low = self.safety.workspace_min_m[axis]
            high = self.safety.workspace_max_m[axis]
            if not low <= tcp[axis, 3] <= high:
                raise ValueError(
                    f"arm.home_q_rad has the tool at {tcp[axis, 3]:.3f} m along"
                    f" {'xyz'[axis]}, outside the workspace {low} to {high} of safety"
                )
        return self

    @model_validator(mode="after")
    def _line_loss_can_be_answered_in_time(self) -> Self:
        # The decision loop may look one turn late and acts in the next.
        turns_s = 2 * self.supervisor.command_period_s
        left_s = self.plc.heartbeat_timeout_s - turns_s
        if left_s < 2 * self.plc.period_s * (1 - 1e-9):
            raise ValueError(
                f"plc.heartbeat_timeout_s is {self.plc.heartbeat_timeout_s}; it must"
                " cover 2 x plc.period_s and 2 x supervisor.command_period_s, or the"
                " line is lost all the time"
            )
        # An arm that moves is watched twice per period: the last change is seen up to
        # half a period late, and the end of the patience (`HeartbeatTracker`) too.
        timeout_s, period_s = self.plc.heartbeat_timeout_s, self.plc.period_s
        patience_s = max(timeout_s - 2.5 * period_s, timeout_s / 2)
        answer_s = patience_s + period_s + turns_s
        if answer_s > _LINE_LOSS_S * (1 + 1e-9):
            raise ValueError(
                f"plc.heartbeat_timeout_s is {timeout_s}; with plc.period_s and"
                " supervisor.command_period_s a heartbeat that stands is answered"
                f" after {answer_s:.3f} s, and {_LINE_LOSS_S} s are allowed: lower"
                " one of them"
            )
        return self

    @model_validator(mode="after")
    def _crash_loops_end(self) -> Self:
        limit = self.runtime.restart_limit
        # Trials kill what they like, beside a virtual robot.
        if limit > _MOST_RESTARTS and is_real(self.arm):
            raise ValueError(
                f"runtime.restart_limit is {limit}; a process that ends again and again"
                f" beside a real robot is started {_MOST_RESTARTS} times within ten"
                f" minutes at most: give {_MOST_RESTARTS} or less"
            )
        return self

    @model_validator(mode="after")
    def _sections_make_sense_together(self) -> Self:
        check_devices_are_as_real(self.arm, self.gripper, self.cameras, self.plc)
        check_heights(self.motion, self.cell.bin)
        check_braking(self.safety)
        check_part(self.cell, self.gripper)
        return self

    @model_validator(mode="after")
    def _virtual_cell_can_be_built(self) -> Self:
        if self.virtual_cell.enabled:
            check_virtual_cell(self)
            _check_loopback(self)
        return self


def load_settings(path: Path, digest: str = "") -> Settings:
    """Read, check and return the configuration.

    Args:
        path: of the file.
        digest: SHA-256 that its content must have; empty takes any content.

    Raises:
        ConfigError: it cannot be used. The message holds a line for each of the
            first few errors: file, line, key, what was given, what is allowed.
    """
    content = read_config_file(path)
    if digest and compute_digest(content) != digest:
        raise ConfigError(
            f"{path}: was changed since the cell was started; stop the cell and start"
            " it again"
        )
    return parse_settings(content, str(path))


def parse_settings(content: bytes, name: str) -> Settings:
    """Check the content of a configuration file; `name` stands in messages.

    Raises:
        ConfigError: as `load_settings`.
    """
    document = parse_strict_yaml(content, name)
    try:
        # Through JSON, for pydantic's strict mode takes lists for tuples only there;
        # lax mode would take "5" for 5 and true for 1.
        settings = Settings.model_validate_json(json.dumps(document.root), strict=True)
    except ValidationError as error:
        raise ConfigError(describe(error, document, Settings)) from None
    _check_policy_name(settings, name)
    return settings


def compute_model_root(settings: Settings) -> Path:
    """Return the folder with the models; relative paths count from the program."""
    return _ROOT / settings.policy.directory


def is_watched(settings: Settings) -> bool:
    """Say whether a learned policy is configured, which the Guardian then watches."""
    return settings.policy.live != SCRIPTED


def _check_policy_name(settings: Settings, name: str) -> None:
    """Refuse a name that no model has; a known one may lack its files.

    Raises:
        ConfigError: `policy.live` is misspelt; names the ones there are.
    """
    live, root = settings.policy.live, compute_model_root(settings)
    if live in KNOWN_POLICIES or (root / live).is_dir():
        return
    found = {entry.name for entry in root.glob("*") if entry.is_dir()}
    names = ", ".join(sorted(found | set(KNOWN_POLICIES)))
    raise ConfigError(
        f"{name}: policy.live is '{live}', and there is no such model in {root};"
        f" write one of {names}"
    )


def compute_digest(content: bytes) -> str:
    """Return the SHA-256 of a configuration file's content."""
    return hashlib.sha256(content).hexdigest()


def check_virtual_cell(settings: Settings) -> None:
    """Make sure that the virtual cell can stand in for the configured devices.

    Raises:
        ValueError: naming the key.
    """
    if settings.plc.kind != "modbus":
        raise ValueError("plc.kind: the virtual cell has a line PLC of kind modbus")
    if settings.cameras["overhead"].base_from_camera is None:
        raise ValueError(
            "cameras.overhead: the virtual cell needs base_from_camera, for this"
            " camera stands on the table"
        )
    wrist = settings.cameras.get("wrist")
    if wrist is not None and wrist.flange_from_camera is None:
        raise ValueError(
            "cameras.wrist: the virtual cell needs flange_from_camera, for this"
            " camera rides on the arm"
        )


def _check_loopback(settings: Settings) -> None:
    """Keep the virtual cell away from real devices.

    Raises:
        ValueError: naming the key.
    """
    devices: dict[str, object] = {
        "arm": settings.arm,
        "gripper": settings.gripper,
        "plc": settings.plc,
    }
    devices |= {f"cameras.{name}": camera for name, camera in settings.cameras.items()}
    for name, device in devices.items():
        host = host_of(device)
        if not is_loopback(host):
            raise ValueError(
                f"virtual_cell.enabled is true, but {name}.host is {host};"
                " set it to 127.0.0.1, or virtual_cell.enabled to false"
            )


def settings_schema() -> str:
    """Return the JSON schema of the configuration, as `config.schema.json` holds it."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Cellward configuration"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
