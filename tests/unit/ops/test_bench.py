"""The bars of `bench`: compared, shown, and answered with an exit code."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cell.contracts.errors import ConfigError
from ops import bench
from ops.exit_codes import ExitCode
from ops.figures import Bar, Figure, Mark, has_missed, render_json, render_line
from ops.run_report import make_report, write_report
from ops.run_session import RunRequest
from ops.settings import load_settings
from safety.capsules import make_surroundings
from safety.clearance import fill_clearances
from tests.running_cell import write_config

GOOD = Figure("lateness", 0.5, "of 10 000", 0.9, "empty loop", Bar(1.0))


@pytest.mark.parametrize(
    ("figure", "mark"),
    [
        (GOOD, Mark.HELD),
        (Figure("lateness", 1.1, "of 10 000", 0.9, "", Bar(1.0)), Mark.MISSED),
        (Figure("pace", 0.97, "", bar=Bar(0.98, is_least=True)), Mark.MISSED),
        (Figure("pace", 0.98, "", bar=Bar(0.98, is_least=True)), Mark.HELD),
        (
            Figure("step", 9.0, "ms", 1.3, "net", Bar(1.2, is_of_ratio=True)),
            Mark.MISSED,
        ),
        (Figure("step", 9.0, "ms", 1.1, "net", Bar(1.2, is_of_ratio=True)), Mark.HELD),
        (Figure("lateness", None, "of 10 000", bar=Bar(1.0)), Mark.MISSED),
        (Figure("cycle", None, "s"), Mark.NONE),
    ],
)
def test_a_bar_is_compared_with_what_it_is_meant_for(
    figure: Figure, mark: Mark
) -> None:
    assert figure.mark is mark
    assert has_missed([GOOD, figure]) is (mark is Mark.MISSED)


def test_a_figure_is_shown_with_its_bar_and_mark() -> None:
    assert render_line(GOOD).endswith("held   (<= 1 of 10 000)")
    assert json.loads(render_json([GOOD]))[0]["mark"] == "held"


@pytest.mark.parametrize(
    ("late", "code"), [(0.5, ExitCode.OK), (1.5, ExitCode.BAR_MISSED)]
)
def test_a_missed_bar_is_the_exit_code(
    late: float, code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = Figure("lateness", late, "of 10 000", bar=Bar(1.0))
    monkeypatch.setattr(bench, "measure_guard", lambda _settings: [GOOD])
    monkeypatch.setattr(bench, "measure_policy", lambda _settings: [])
    monkeypatch.setattr(bench, "measure_cell", lambda _path, _duration_s: [figure])

    config = write_config(tmp_path, "127.0.0.1")

    assert bench.run_bench(config, 1.0, as_json=False) is code


def test_a_camera_on_the_arm_is_refused_in_one_sentence(tmp_path: Path) -> None:
    def carry(tree: dict[str, Any]) -> None:
        tree["cameras"]["overhead"] = copy.deepcopy(tree["cameras"]["wrist"])
        tree["virtual_cell"]["enabled"] = False

    settings = load_settings(write_config(tmp_path, "127.0.0.1", carry))

    with pytest.raises(ConfigError, match=r"cameras\.overhead\.base_from_camera"):
        bench.measure_policy(settings)


def test_the_scripted_policy_is_timed_without_a_model(tmp_path: Path) -> None:
    def script(tree: dict[str, Any]) -> None:
        tree["policy"]["live"] = "scripted"

    settings = load_settings(write_config(tmp_path, "127.0.0.1", script))

    (figure,) = bench.measure_policy(settings, rounds=2)

    assert figure.value is not None
    assert figure.mark is Mark.NONE


def test_the_guard_is_timed_over_a_motion_that_it_grants(tmp_path: Path) -> None:
    settings = load_settings(write_config(tmp_path, "127.0.0.1"))

    configured, crowded, near = bench.measure_guard(settings, cycles=300)

    assert (configured.value or 0.0) > 0.0
    for other in (crowded, near):
        assert (other.value or 0.0) > 0.0
        assert (other.ratio or 0.0) > 0.0
    assert configured.bar == crowded.bar == Bar(15.0)
    assert near.bar is None


def test_the_crowded_cell_of_the_bench_has_all_its_pairs_looked_at(
    tmp_path: Path,
) -> None:
    settings = load_settings(write_config(tmp_path, "127.0.0.1"))
    crowded = bench.crowd(settings.safety, 0.2)
    assert bench.crowd(settings.safety).zones == crowded.zones
    around, names = make_surroundings(crowded, settings.arm.flange_from_tcp.pose())
    room = np.empty(len(around.against_zone) + len(around.against_self))

    fill_clearances(np.array(settings.arm.home_q_rad), around, 0.2, room)

    assert len(around.against_zone) == 70
    assert len({capsule for capsule, _ in around.against_zone.tolist()}) == 7
    assert len(names.zones) == 10
    # Something is always near, so that the end of each way is measured as well.
    assert 0.0 < room[:70].min() < around.slow_m[0]


def test_a_guard_that_refuses_the_motion_is_not_timed(tmp_path: Path) -> None:
    settings = load_settings(write_config(tmp_path, "127.0.0.1"))
    slow = settings.safety.model_copy(update={"joint_speed_radps": (0.01,) * 6})

    with pytest.raises(ConfigError, match="refuses it: joint_speed of joint 0"):
        bench.measure_guard(settings.model_copy(update={"safety": slow}), cycles=300)


@pytest.mark.parametrize(
    ("time_s", "mark"), [(None, Mark.NONE), (0.2, Mark.HELD), (0.201, Mark.MISSED)]
)
def test_answers_to_holds_of_the_guard_have_a_bar_where_it_held(
    time_s: float | None, mark: Mark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(request: RunRequest) -> ExitCode:
        assert request.report_path is not None
        status = {
            "guard_intervention_lost_s_max": time_s,
            "slow_down_confirmed_s_max": time_s,
        }
        servo = {"servo_scheduler": "FIFO"}
        write_report(request.report_path, make_report(status, servo, {}, {}))
        return ExitCode.OK

    monkeypatch.setattr(bench, "run_cell", run)
    monkeypatch.setattr(bench, "_FLOOR_S", 0.01)

    figures = {f.name: f for f in bench.measure_cell(tmp_path / "config.yaml", 1.0)}

    for name in ("lost by a guard's hold, worst", "line asked to slow down, worst"):
        figure = figures[name]
        assert figure.mark is mark
        assert figure.value == (None if time_s is None else pytest.approx(time_s * 1e3))
