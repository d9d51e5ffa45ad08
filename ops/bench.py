"""`cellward bench`: timings as figures, and as ratios to a reference of the same run.

A shared machine makes single times meaningless; each timing therefore stands beside a
reference that was measured in turn with it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cell.contracts.errors import ConfigError
from cell.contracts.observation import Intrinsics, Modality, Observation, RgbdFrame
from cell.contracts.servo import HoldReason
from ops.exit_codes import ExitCode
from ops.figures import Bar, Figure, has_missed, render_json, render_line
from ops.run_command import run_cell
from ops.run_session import RunRequest
from ops.settings import Settings, compute_model_root, load_settings
from ops.timer_floor import measure_timer_floor
from ops.workspace import make_workspace
from policies.config import SCRIPTED
from policies.model_directory import read_model_directory
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.loading import load_policies
from policies.runtime.onnx_session import OnnxSession
from safety.config import SafetyConfig
from safety.guard import EnvelopeGuard
from safety.zones import CylinderZone

GUARD_BAR_US = 15.0
GUARD_LOOP_BAR_US = 300.0
POLICY_OVERHEAD_BAR = 1.2
LATE_BAR = 1.0
REAL_TIME_BAR = 0.98
REACTION_BAR_MS = 200.0
_PERIOD_S = 0.002
_FLOOR_S = 20.0
# Seven capsules, ten obstacles and the arm against itself.
_LINKS, _POSTS = 7, 10
# Stubs of posts about the shoulder, nearer than the distance at which to slow down.
_RING_M, _RADIUS_M, _HALF_HEIGHT_M = 0.28, 0.05, 0.05
_NEAR_M = 0.2


def run_bench(config_path: Path, duration_s: float, *, as_json: bool) -> ExitCode:
    """Measure and print everything; a missed bar is an exit code of its own."""
    settings = load_settings(config_path)
    figures = measure_guard(settings)
    figures += measure_policy(settings)
    figures += measure_cell(config_path, duration_s)
    if as_json:
        sys.stdout.write(render_json(figures) + "\n")
    else:
        sys.stdout.writelines(f"{render_line(figure)}\n" for figure in figures)
    return ExitCode.BAR_MISSED if has_missed(figures) else ExitCode.OK


def measure_guard(settings: Settings, cycles: int = 100_000) -> list[Figure]:
    """Time the guard in a hot loop over a smooth motion about home, in three cells.

    One is the cell as configured, with the period of the loop it runs in as its
    reference. In the second ten posts about the shoulder take the place of its zones,
    all of them looked at from all seven moving links in every cycle. In the third the
    guard is asked to slow down so early that some are always near enough for that, so
    that they are measured at both ends of every way: the worst that one can do to it,
    which has no bar. The reference of both is the first, in the same run.

    Raises:
        ConfigError: the guard refused the motion; a refusal takes less time.
    """
    median_us = _time_guard(settings, settings.safety, cycles)
    crowded_us = _time_guard(settings, crowd(settings.safety), cycles)
    near_us = _time_guard(settings, crowd(settings.safety, _NEAR_M), cycles)
    crowded = f"guard, {_LINKS} links x {_POSTS} obstacles, hot loop, median"
    return [
        Figure(
            name="guard, hot loop, median",
            value=median_us,
            unit="us",
            ratio=median_us / (_PERIOD_S * 1e6),
            reference="control period",
            bar=Bar(GUARD_BAR_US),
        ),
        Figure(
            name=crowded,
            value=crowded_us,
            unit="us",
            ratio=crowded_us / median_us,
            reference="guard, hot loop",
            bar=Bar(GUARD_BAR_US),
        ),
        Figure(
            name=f"{crowded}, always near",
            value=near_us,
            unit="us",
            ratio=near_us / median_us,
            reference="guard, hot loop",
        ),
    ]


def crowd(safety: SafetyConfig, slow_m: float | None = None) -> SafetyConfig:
    """Return the limits of a cell with ten posts about the shoulder as its zones.

    Args:
        safety: of the configuration.
        slow_m: in the place of its distance at which to slow down [m].
    """
    update: dict[str, object] = {"zones": _make_posts()}
    if slow_m is not None:
        update["slow_distance_m"] = slow_m
    return safety.model_copy(update=update)


def _make_posts() -> tuple[CylinderZone, ...]:
    """Return ten posts for the links alone; cylinders are the dearest kind of zone."""
    turns = 2.0 * np.pi * np.arange(_POSTS) / _POSTS
    return tuple(
        CylinderZone(
            name=f"post_{number}",
            kind="cylinder",
            keeps_out=("arm",),
            centre_m=(
                _RING_M * float(np.cos(turn)),
                _RING_M * float(np.sin(turn)),
                0.0,
            ),
            radius_m=_RADIUS_M,
            half_height_m=_HALF_HEIGHT_M,
        )
        for number, turn in enumerate(turns)
    )


def _time_guard(settings: Settings, safety: SafetyConfig, cycles: int) -> float:
    """Return the median time of one verdict [us]."""
    tool = settings.arm.flange_from_tcp.pose()
    guard = EnvelopeGuard.from_config(safety, tool, _PERIOD_S)
    home = np.array(settings.arm.home_q_rad)
    no_force = np.zeros(6)
    guard.reset(home)
    # From rest, and with bounded jerk.
    swing = 0.1 * (1.0 - np.cos(2.0 * np.arange(cycles) * _PERIOD_S))
    step_ns = int(_PERIOD_S * 1e9)
    times_ns = np.empty(cycles)
    now_ns = time.monotonic_ns()
    for cycle in range(cycles):
        now_ns += step_ns
        request = home + swing[cycle]
        start_ns = time.perf_counter_ns()
        verdict = guard.vet(request, now_ns, now_ns, now_ns, no_force)
        times_ns[cycle] = time.perf_counter_ns() - start_ns
        if verdict.reason is not HoldReason.NONE:
            raise ConfigError(
                "bench swings the arm by 0.2 rad about arm.home_q_rad, and safety"
                f" refuses it: {guard.describe(verdict)}"
            )
    return float(np.median(times_ns)) / 1e3


def measure_policy(settings: Settings, rounds: int = 60) -> list[Figure]:
    """Time a whole policy step against the bare network call, in turn.

    Raises:
        ModelError: the live model cannot be used.
        ConfigError: the bin is not seen from a fixed place.
    """
    observation = _make_observation(settings)
    if settings.policy.live == SCRIPTED:
        policies = load_policies(
            settings.policy, compute_model_root(settings), make_workspace(settings)
        )
        scripted = policies.fallback
        times_ms = [
            _time_ms(lambda: scripted.propose_except(observation, ()))
            for _ in range(rounds)
        ]
        return [Figure("policy step, median", float(np.median(times_ms)), "ms")]
    model = read_model_directory(compute_model_root(settings) / settings.policy.live)
    session = OnnxSession(model)
    policy = HeightmapPolicy(model.manifest, session, make_workspace(settings), 0.0)
    feeds = {
        spec.name: np.zeros(spec.shape, np.dtype(spec.dtype))
        for spec in model.manifest.inputs
    }
    whole_ms, bare_ms = [], []
    for _ in range(rounds):
        whole_ms.append(_time_ms(lambda: policy.propose(observation)))
        bare_ms.append(_time_ms(lambda: session.run(feeds)))
    whole, bare = float(np.median(whole_ms)), float(np.median(bare_ms))
    return [
        Figure("network alone, median", bare, "ms"),
        Figure(
            name="policy step, median",
            value=whole,
            unit="ms",
            ratio=whole / bare,
            reference="network alone",
            bar=Bar(POLICY_OVERHEAD_BAR, is_of_ratio=True),
        ),
    ]


def measure_cell(config_path: Path, duration_s: float) -> list[Figure]:
    """Run the cell and read lateness, guard and cycle time off its report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        run_cell(RunRequest(config_path, duration_s, 0, path, is_live=False))
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    floor = measure_timer_floor(_PERIOD_S, _FLOOR_S)
    late = report["late_cycles_ratio"]
    cycle_s = report["cycle_s_p50"]
    policy_ms = report["policy_ms_p50"]
    return [
        Figure(
            name=f"late cycles of an empty loop ({floor.scheduler})",
            value=floor.late_ratio * 1e4,
            unit="of 10 000",
        ),
        Figure(
            name="longest gap of an empty loop",
            value=floor.longest_gap_s * 1e3,
            unit="ms",
            ratio=floor.longest_gap_s / _PERIOD_S,
            reference="control period",
        ),
        Figure(
            name=f"late servo cycles ({report['servo_scheduler']})",
            value=None if late is None else late * 1e4,
            unit="of 10 000",
            ratio=late / floor.late_ratio if late and floor.late_ratio else None,
            reference="empty loop",
            bar=Bar(LATE_BAR),
        ),
        _guard_in_loop("median", report["guard_us_p50"]),
        _guard_in_loop("p99.9", report["guard_us_p999"]),
        Figure("grasp cycle, median", cycle_s, "s"),
        Figure(
            name="policy in the cell, median",
            value=policy_ms,
            unit="ms",
            ratio=policy_ms / 1e3 / cycle_s if policy_ms and cycle_s else None,
            reference="grasp cycle",
        ),
        *_make_pace(report["real_time_factor"]),
        _worst(
            "lost by a guard's hold, worst", report["guard_intervention_lost_s_max"]
        ),
        _worst("line asked to slow down, worst", report["slow_down_confirmed_s_max"]),
    ]


def _worst(name: str, time_s: float | None) -> Figure:
    """Return a reaction of the run; one in which the guard never intervened has none.

    How soon a hold begins without orders, and a stop without a line, needs somebody who
    takes them away: that is for trials, not for a run that is left alone.
    """
    if time_s is None:
        return Figure(name, None, "ms")
    return Figure(name, time_s * 1e3, "ms", bar=Bar(REACTION_BAR_MS))


def _make_pace(real_time_factor: float | None) -> list[Figure]:
    """Return the pace of the virtual cell; a real one has none."""
    if real_time_factor is None:
        return []
    bar = Bar(REAL_TIME_BAR, is_least=True)
    return [Figure("real-time factor", real_time_factor, "", bar=bar)]


def _guard_in_loop(which: str, reported_us: float | None) -> Figure:
    value_us = reported_us or None  # 0 means that no setpoint was ever vetted
    return Figure(
        name=f"guard in the loop, {which}",
        value=value_us,
        unit="us",
        ratio=None if value_us is None else value_us / (_PERIOD_S * 1e6),
        reference="control period",
        bar=Bar(GUARD_LOOP_BAR_US) if which == "p99.9" else None,
    )


def _time_ms(call: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start_ns) / 1e6


def _make_observation(settings: Settings) -> Observation:
    """Return a look at a bin with a few blocks in it, from the overhead camera."""
    camera = settings.cameras["overhead"]
    if camera.base_from_camera is None:
        raise ConfigError(
            "cameras.overhead.base_from_camera is not set: bench times the policy on "
            "the view of a fixed camera; give its pose, or bench with another --config"
        )
    base_from_camera = camera.base_from_camera.pose()
    floor_m = settings.cell.bin.base_from_bin.position_m[2]
    depth = np.full((240, 320), base_from_camera.position_m[2] - floor_m, np.float32)
    generator = np.random.default_rng(0)
    for row, col in generator.integers((70, 110), (160, 200), (8, 2)):
        depth[row : row + 15, col : col + 25] -= np.float32(0.04)
    stamp_ns = time.monotonic_ns()
    frame = RgbdFrame(
        camera="overhead",
        stamp_ns=stamp_ns,
        number=1,
        rgb=np.zeros((240, 320, 3), np.uint8),
        depth_m=depth,
        intrinsics=Intrinsics(320, 240, 418.0, 418.0, 159.5, 119.5),
        base_from_camera=base_from_camera,
    )
    return Observation(
        stamp_ns=stamp_ns,
        frames={"overhead": frame},
        q=np.array(settings.arm.home_q_rad),
        base_from_tcp=settings.arm.flange_from_tcp.pose(),
        aperture_m=settings.gripper.max_aperture_m,
        force_tcp_n=np.zeros(6),
        valid={Modality.DEPTH: True},
        modality_stamps_ns={Modality.DEPTH: stamp_ns},
    )
