"""The live terminal view: grey while all is well, colour only for what is not."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ops.host import ChildStatus
from ops.telemetry import Telemetry

_NO_STATE = "starting up"
"""Before the first status: no state of the machine yet."""

_SILENT_S = 1.0
_PRESSES = {
    "ABORTED": "ack clear reset start",
    "HELD": "unhold",
    "STOPPED": "reset start",
    "COMPLETED": "reset start",
    "IDLE": "start",
}
_BEGUN_S = 10.0
"""By then the automatic start of a virtual line is over, where there is one."""

_REASONS_SHOWN = 6
_SENTENCE_CHARS = 220
_MAY_ACT = ("trusted", "not needed")
_ABNORMAL = {
    "HELD": "yellow",
    "SUSPENDED": "yellow",
    "ABORTED": "red",
    "ABORTING": "red",
}


def render_view(
    telemetry: Telemetry, children: Sequence[ChildStatus], elapsed_s: float
) -> RenderableType:
    """Draw one picture of the cell."""
    status = telemetry.status
    return Panel(
        Group(
            _headline(telemetry),
            _reasons(telemetry, elapsed_s),
            Text(),
            _figures(telemetry),
            Text(),
            _ages(status),
            _processes(children),
            _events(status),
        ),
        title=f"Cellward  {format_duration(elapsed_s)}",
        subtitle="not safety-rated  |  Ctrl-C stops the cell",
        border_style="grey50",
    )


def render_line(
    telemetry: Telemetry, elapsed_s: float, *, is_over: bool = False
) -> str:
    """Say the same in one plain line, for logs and pipes.

    Args:
        telemetry: what was read last.
        elapsed_s: since the start of the run [s].
        is_over: the run has ended, so there is nothing to press any more.
    """
    status, servo = telemetry.status, telemetry.servo
    ratio = status.get("first_try_success_ratio")
    parts = [
        format_duration(elapsed_s),
        name_state(telemetry),
        f"placed {status.get('placed', 0)}",
        f"rate {format_number(status.get('picks_per_hour'), '.0f')}/h",
        f"first try {format_number(ratio, '.3f')}",
        f"holds {servo.get('hold_count', 0)}",
    ]
    if telemetry.world:
        parts.append(f"violations {telemetry.world.get('limit_violations', 0)}")
    if (status.get("guardian") or {}).get("is_fallback"):
        parts.append(f"picks {_name_in_charge(status)}")
    parts.extend(say_why(status))
    if not is_over:
        parts.extend(_say_what_to_do(telemetry, elapsed_s))
    return "  ".join(parts)


def _say_what_to_do(telemetry: Telemetry, elapsed_s: float) -> list[str]:
    """Return the remedy, and what to press where the line is a virtual one."""
    status = telemetry.status
    found = [f"do: {status['remedy']}"] if status.get("remedy") else []
    presses = _PRESSES.get(name_state(telemetry))
    # A cell that has only begun is stopped without a reason, and goes on by itself.
    is_waiting = bool(status.get("state_reason")) or elapsed_s > _BEGUN_S
    is_ours = telemetry.world and status.get("clears") != "by itself"
    if presses and is_waiting and is_ours:
        found.append(f"at the virtual line: ./cellward panel {presses}")
    return found


def _list_alarms(status: Mapping[str, Any]) -> list[str]:
    """Return the alarms that do not repeat what is missing."""
    missing = status.get("permissives", ())
    alarms = status.get("alarms", ())
    return [f"alarm: {alarm}" for alarm in alarms if alarm not in missing]


def render_sim_line(telemetry: Telemetry, elapsed_s: float) -> str:
    """Say in one plain line how the virtual cell fares that runs alone."""
    world = telemetry.world
    if not world:
        return f"{format_duration(elapsed_s)}  {_NO_STATE}"
    return "  ".join(
        (
            format_duration(elapsed_s),
            "running",
            f"real-time factor {format_number(world.get('real_time_factor'), '.3f')}",
            f"parts in bin {world.get('parts_in_bin')}",
            f"on outfeed {world.get('parts_on_outfeed')}",
            f"violations {world.get('limit_violations', 0)}",
        )
    )


def name_state(telemetry: Telemetry) -> str:
    """Return the PackML state, or what is said before there is one."""
    return str(telemetry.status.get("state", _NO_STATE))


def say_why(status: Mapping[str, Any]) -> list[str]:
    """Return the reason of the stop, or what is missing, and alarms."""
    reason = status.get("state_reason")
    missing = [str(entry) for entry in status.get("permissives", ())]
    why = [str(reason)] if reason else missing[:1]
    if not reason and len(missing) > 1:
        why.append(f"(and {len(missing) - 1} more)")
    return why + _list_alarms(status)


def format_duration(seconds: float) -> str:
    """Format as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def format_number(value: Any, form: str) -> str:
    """Format a figure, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def format_age(age_s: float | None) -> str:
    """Format an age with the unit that keeps it short."""
    if age_s is None:
        return "none"
    return f"{age_s * 1000:.0f} ms" if age_s < 1.0 else f"{age_s:.1f} s"


def _headline(telemetry: Telemetry) -> Text:
    status, state = telemetry.status, name_state(telemetry)
    text = Text()
    text.append(f" {state} ", style=f"bold {_ABNORMAL.get(state, 'default')} reverse")
    text.append(f"  mode {status.get('mode', '-')}")
    text.append(f"  picks: {_name_in_charge(status)}")
    age_s = telemetry.status_age_s
    if age_s is not None and age_s > _SILENT_S:
        text.append(f"  (of {age_s:.0f} s ago: the supervisor is silent)", style="red")
    return text


def _name_in_charge(status: Mapping[str, Any]) -> str:
    """Return which policy picks, and which one does not and why not."""
    guardian = status.get("guardian") or {}
    model = status.get("active_model") or "-"
    if not guardian.get("is_fallback"):
        return str(model)
    words = f"{guardian.get('in_charge') or '-'} in place of {model}"
    if guardian.get("is_novel") and guardian.get("trust") in _MAY_ACT:
        return f"{words} (novel pictures)"
    done, needed = guardian.get("shadow_attempts"), guardian.get("shadow_needed")
    if guardian.get("trust") == "shadow":
        return f"{words} (shadow {done} of {needed})"
    return f"{words} ({guardian.get('trust')})"


def _reasons(telemetry: Telemetry, elapsed_s: float) -> RenderableType:
    status, servo = telemetry.status, telemetry.servo
    lines = []
    if status.get("state_reason"):
        lines.append(str(status["state_reason"]))
    lines.extend(_say_what_to_do(telemetry, elapsed_s))
    lines.extend(_list_alarms(status))
    lines.extend(f"not ready: {reason}" for reason in status.get("permissives", ()))
    if servo.get("hold_reason", "NONE") not in ("NONE", "NO_COMMAND"):
        lines.append(f"guard holds: {servo['hold_reason']}")
    hidden = len(lines) - _REASONS_SHOWN
    if hidden > 1:
        lines[_REASONS_SHOWN:] = [f"(and {hidden} more)"]
    return Text("\n".join(map(shorten, lines)), style="yellow")


def shorten(sentence: str) -> str:
    """Cut a sentence that would push the figures off the screen."""
    if len(sentence) <= _SENTENCE_CHARS:
        return sentence
    return sentence[: _SENTENCE_CHARS - 3].rstrip() + "..."


def _figures(telemetry: Telemetry) -> Table:
    status, servo, world = telemetry.status, telemetry.servo, telemetry.world
    low, high = status.get("success_interval") or (None, None)
    interval = f"[{format_number(low, '.2f')}, {format_number(high, '.2f')}]"
    late = servo.get("late_cycles_ratio")
    cells = [
        ("placed", str(status.get("placed", 0))),
        ("rate", f"{format_number(status.get('picks_per_hour'), '.0f')} /h"),
        (
            "first try",
            f"{format_number(status.get('first_try_success_ratio'), '.3f')} {interval}",
        ),
        ("cycle", f"{format_number(status.get('cycle_s_p50'), '.1f')} s"),
        ("policy", f"{format_number(status.get('policy_ms_p50'), '.0f')} ms"),
        ("guard holds", str(servo.get("hold_count", 0))),
        (
            "guard",
            f"{format_number(servo.get('guard_us_p50'), '.0f')} us, p99.9 "
            f"{format_number(servo.get('guard_us_p999'), '.0f')} us",
        ),
        (
            "late cycles",
            "-"
            if late is None
            else f"{late * 1e4:.1f} of 10 000 ({servo.get('servo_scheduler')})",
        ),
    ]
    if world:
        cells.append(("limit violations", str(world.get("limit_violations", 0))))
        factor = format_number(world.get("real_time_factor"), ".3f")
        cells.append(("real-time factor", factor))
    table = Table.grid(padding=(0, 3))
    half = (len(cells) + 1) // 2
    for row in range(half):
        left = cells[row]
        right = cells[row + half] if row + half < len(cells) else ("", "")
        table.add_row(
            Text(left[0], style="grey62"),
            left[1],
            Text(right[0], style="grey62"),
            right[1],
        )
    return table


def _ages(status: Mapping[str, Any]) -> Text:
    ages = status.get("ages_s") or {}
    text = Text("data ages  ", style="grey62")
    for name, age_s in ages.items():
        text.append(f"{name} {format_age(age_s)}  ", style="default")
    return text


def _processes(children: Sequence[ChildStatus]) -> Text:
    text = Text("processes  ", style="grey62")
    for child in children:
        if child.is_down:
            text.append(f"{child.name} DOWN ({child.last_exit})  ", style="bold red")
        elif child.restarts:
            text.append(f"{child.name} x{child.restarts}  ", style="yellow")
        else:
            text.append(f"{child.name}  ", style="default")
    return text


def _events(status: Mapping[str, Any]) -> Text:
    events = list(status.get("events", ()))[-6:]
    # Wrapped lines would push the newest off a small screen.
    return Text(
        "\n".join(map(str, events)),
        style="grey62",
        no_wrap=True,
        overflow="ellipsis",
    )
