"""What a person at the terminal sees."""

from typing import Any

import pytest
from rich.console import Console

from ops.host import ChildStatus
from ops.telemetry import Telemetry
from ops.view import format_age, render_line, render_sim_line, render_view

STATUS: dict[str, Any] = {
    "state": "EXECUTE",
    "mode": "PRODUCTION",
    "state_reason": "",
    "remedy": "",
    "permissives": [],
    "alarms": [],
    "active_model": "heightmap-1.abc",
    "placed": 1234,
    "picks_per_hour": 612.4,
    "first_try_success_ratio": 0.951,
    "success_interval": [0.93, 0.97],
    "cycle_s_p50": 5.84,
    "policy_ms_p50": 93.0,
    "ages_s": {
        "arm": 0.002,
        "camera": 0.066,
        "plc": 0.049,
        "gripper": 0.199,
        "policy": 12.3,
    },
    "events": [f"14:03:{n:02d} attempt outcome=placed score=0.999" for n in range(20)],
}
SERVO: dict[str, Any] = {
    "hold_reason": "NONE",
    "hold_count": 17,
    "late_cycles_ratio": 0.00021,
    "servo_scheduler": "FIFO",
    "guard_us_p50": 31.0,
    "guard_us_p999": 122.0,
}
WORLD: dict[str, Any] = {
    "limit_violations": 0,
    "real_time_factor": 0.999,
    "parts_in_bin": 9,
    "parts_on_outfeed": 1,
}
NAMES = ("supervisor", "servo", "policy", "camera", "plc", "ur", "vcamera", "world")
CHILDREN = [ChildStatus(name, 1, 0, False, "", None, True) for name in NAMES]


def draw(telemetry: Telemetry, width: int = 80, elapsed_s: float = 3725.0) -> list[str]:
    console = Console(width=width, height=24, force_terminal=False)
    with console.capture() as capture:
        console.print(render_view(telemetry, CHILDREN, elapsed_s))
    return capture.get().splitlines()


def with_status(**changes: Any) -> Telemetry:
    return Telemetry({**STATUS, **changes}, SERVO, WORLD, 0.1)


@pytest.mark.parametrize("width", [80, 120])
def test_everything_of_interest_fits_on_a_small_terminal(width: int) -> None:
    lines = draw(with_status(), width)

    text = "\n".join(lines)
    assert len(lines) <= 24
    for shown in (
        *("EXECUTE", "1:02:05", "heightmap-1.abc", "1234", "612 /h"),
        *("0.951 [0.93, 0.97]", "17", "2.1 of 10 000 (FIFO)", "not safety-rated"),
        "arm 2 ms  camera 66 ms  plc 49 ms  gripper 199 ms  policy 12.3 s",
    ):
        assert shown in text


def test_why_it_does_not_run_and_what_to_do_is_shown() -> None:
    stopped = with_status(
        state="ABORTED",
        state_reason="protective stop",
        remedy="look at the cell",
        permissives=["the gripper is lost [63352]: check gripper.host"],
        alarms=["the model is damaged"],
    )

    text = " ".join(" ".join(draw(stopped, 200)).split())

    for shown in (
        *("ABORTED", "protective stop", "do: look at the cell"),
        "not ready: the gripper is lost [63352]: check gripper.host",
        "alarm: the model is damaged",
    ):
        assert shown in text


@pytest.mark.parametrize(
    ("state", "clears", "shown"),
    [
        ("ABORTED", "acknowledge, then ...", "./cellward panel ack clear reset start"),
        ("HELD", "Unhold by a person", "./cellward panel unhold"),
        ("STOPPED", "start", "./cellward panel reset start"),
        ("COMPLETED", "", "./cellward panel reset start"),
        ("IDLE", "", "./cellward panel start"),
        ("HELD", "by itself", ""),
        ("EXECUTE", "", ""),
    ],
)
def test_what_to_press_at_a_virtual_line_is_shown_where_a_person_is_needed(
    state: str, clears: str, shown: str
) -> None:
    stopped = with_status(state=state, clears=clears, state_reason="it stopped")
    real = Telemetry(stopped.status, SERVO, {}, 0.1)

    assert ("cellward panel" in "\n".join(draw(stopped))) is bool(shown)
    assert shown in "\n".join(draw(stopped))
    assert "cellward panel" not in "\n".join(draw(real))


def test_on_a_small_screen_long_events_are_cut_and_the_newest_is_shown() -> None:
    events = [f"14:03:{n:02d} judged " + "next_success=0.929 " * 9 for n in range(20)]

    lines = draw(with_status(events=events))

    assert len(lines) <= 24
    assert "Ctrl-C stops the cell" in lines[-1]
    assert "14:03:19 judged" in lines[-2]


def test_a_plain_line_says_what_to_do_as_the_view_does() -> None:
    stopped = with_status(
        state="ABORTED", clears="Clear", state_reason="it broke", remedy="mend it"
    )

    line = render_line(stopped, 1.0)

    assert "do: mend it" in line
    assert "./cellward panel ack clear reset start" in line
    assert "panel" not in render_line(stopped, 1.0, is_over=True)


def test_a_cell_that_has_only_begun_asks_nobody_to_press_anything() -> None:
    begun = with_status(state="STOPPED")

    assert "cellward panel" not in "\n".join(draw(begun, elapsed_s=3.0))
    assert "cellward panel reset start" in "\n".join(draw(begun, elapsed_s=30.0))


def test_long_stories_leave_the_figures_on_the_screen() -> None:
    stopped = with_status(
        state="ABORTED",
        state_reason="first this, then that; " * 40,
        remedy="do one thing, then another; " * 20,
        alarms=[f"alarm {number} of many" for number in range(10)],
    )

    lines = draw(stopped, 100)

    assert len(lines) <= 30
    assert "(and 7 more)" in "\n".join(lines)
    assert "real-time factor" in "\n".join(lines)


def test_a_supervisor_that_says_nothing_is_noticed() -> None:
    silent = Telemetry(STATUS, SERVO, WORLD, status_age_s=4.2)

    assert "of 4 s ago: the supervisor is silent" in "\n".join(draw(silent, 120))
    assert "silent" not in "\n".join(draw(with_status(), 120))


def test_before_anything_was_measured_there_are_dashes() -> None:
    assert "starting up" in "\n".join(draw(Telemetry()))
    assert render_line(Telemetry(), 0.4) == (
        "0:00:00  starting up  placed 0  rate -/h  first try -  holds 0"
    )


def test_a_line_names_the_first_thing_that_is_missing_and_counts_the_others() -> None:
    line = render_line(
        with_status(
            state="STOPPED",
            permissives=["no PLC: check it", "no robot: check it", "no camera"],
            alarms=["no robot: check it", "the disk is full"],
        ),
        5.0,
    )

    assert line.endswith("no PLC: check it  (and 2 more)  alarm: the disk is full")


def test_the_virtual_cell_alone_tells_of_the_world() -> None:
    assert render_sim_line(Telemetry(), 1.0) == "0:00:01  starting up"
    assert render_sim_line(Telemetry(world=WORLD), 10.0) == (
        "0:00:10  running  real-time factor 0.999  parts in bin 9  on outfeed 1"
        "  violations 0"
    )


def test_ages_are_short() -> None:
    assert [format_age(age) for age in (None, 0.0, 0.9994, 1.0, 75.25)] == [
        *("none", "0 ms", "999 ms", "1.0 s", "75.2 s"),
    ]


@pytest.mark.parametrize("trust", ["trusted", "not needed"])
def test_who_picks_on_pictures_unlike_training_is_shown(trust: str) -> None:
    said = {
        "in_charge": "scripted-1",
        "is_fallback": True,
        "is_novel": True,
        "trust": trust,
    }
    wanted = "scripted-1 in place of heightmap-1.abc (novel pictures)"

    assert wanted in "\n".join(draw(with_status(guardian=said), 120))
    assert wanted in render_line(with_status(guardian=said), 1.0)
    withdrawn = with_status(guardian={**said, "trust": "fallback"})
    assert "(fallback)" in render_line(withdrawn, 1.0)
