"""`cellward guardian`: where the Guardian stands, and a named person's release."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cell.contracts.errors import ConfigError
from cell.contracts.units import s_from_ns
from ops.exit_codes import ExitCode
from ops.guardian_watch import NAME_CAPACITY, ReleaseBox
from ops.runtime_directory import compute_runtime_directory
from ops.settings import load_settings
from ops.telemetry import read_status

_PATIENCE_S: Final = 3.0
_POLL_S: Final = 0.05
_SILENT_S: Final = 3.0
"""A supervisor tells its status five times a second; one that restarts is back."""

_pause = time.sleep  # noqa: TID251  (the command has no event loop)


def show_guardian(config_path: Path, *, as_json: bool) -> ExitCode:
    """Print where the Guardian of the running cell stands."""
    view = _read(_find_runtime(config_path))
    if view is None:
        return _complain("no cell runs with this configuration")
    if as_json:
        sys.stdout.write(json.dumps(view, indent=2) + "\n")
        return ExitCode.OK
    for name, words in describe_view(view):
        sys.stdout.write(f"{name:20} {words}\n")
    return ExitCode.OK


def describe_view(view: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a person wants to know of the Guardian, as names and words.

    Args:
        view: the entry `guardian` of the status; what it lacks is left out.
    """
    place = " in place of the learned policy" if view.get("is_fallback") else ""
    lines = [
        ("picks", f"{view.get('in_charge') or '-'}{place}"),
        ("learned policy", str(view.get("trust", "-"))),
    ]
    if view.get("why"):
        lines.append(("because", str(view["why"])))
    if "awaits_release" in view:
        lines += _describe_way_back(view)
    if "learned_attempts" in view:
        met, of = view.get("learned_interventions", 0), view["learned_attempts"]
        lines.append(("guard intervened in", f"{met} of its {of} attempts"))
    if "novel_grasps" in view:
        lines.append(("unlike training", f"{view['novel_grasps']} grasps in a row"))
    return lines


def _describe_way_back(view: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how often it was withdrawn, and what leads back."""
    lines = [
        (
            "withdrawn",
            f"{view.get('falls', 0)} times in this run; "
            f"{view.get('falls_since_release', 0)} of {view.get('falls_max', '-')} "
            "after which only a person lets it return",
        )
    ]
    if view.get("trust") != "trusted":
        done, needed = view.get("shadow_attempts", 0), view.get("shadow_needed", 0)
        same, looks = view.get("shadow_agreements", 0), view.get("shadow_looks", 0)
        words = f"{done} of {needed} attempts; {same} of {looks} proposals were alike"
        lines.append(("in shadow", words))
    release = view.get("released_by") and f"last given by {view['released_by']}"
    if view["awaits_release"]:
        release = "waits for it: ./cellward guardian release --by NAME"
    return [*lines, ("release", release or "not needed now")]


def release_learned(config_path: Path, person: str) -> ExitCode:
    """Agree by name that the learned policy may return, or may be tried again.

    It shortens no evidence: where the Guardian waits for nobody, nothing happens.

    Raises:
        ConfigError: the name is none.
    """
    name = person.strip()
    if not name or not name.isprintable() or len(name.encode()) > NAME_CAPACITY:
        raise ConfigError("--by must name the person who agrees")
    runtime = _find_runtime(config_path)
    view = _read(runtime)
    if view is None:
        return _complain("no cell runs with this configuration")
    if not view.get("awaits_release"):
        return _complain(
            f"nothing waits for a release; the learned policy is: {view.get('trust')}"
        )
    box = ReleaseBox(runtime)
    try:
        box.write(name)
    finally:
        box.close()
    taken = _wait(
        lambda: (
            (_read(runtime) or view).get("released_by") == name
            and not (_read(runtime) or view).get("awaits_release")
        )
    )
    if not taken:
        return _complain("the release was not taken; see the events of the cell")
    sys.stdout.write(f"released by {name}\n")
    return ExitCode.OK


def _find_runtime(config_path: Path) -> Path:
    return compute_runtime_directory(load_settings(config_path).runtime.directory)


def _read(runtime: Path) -> dict[str, Any] | None:
    tree = read_status(runtime)
    # What an ended cell has left is no news.
    age_s = s_from_ns(time.monotonic_ns() - int(tree.get("stamp_ns", 0)))
    if age_s > _SILENT_S:
        return None
    view = tree.get("guardian")
    return dict(view) if isinstance(view, dict) else None


def _wait(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        if condition():
            return True
        _pause(_POLL_S)
    return False


def _complain(sentence: str) -> ExitCode:
    sys.stderr.write(f"cellward: {sentence}\n")
    return ExitCode.NOT_READY
