"""The Guardian's share of the learning commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ops.exit_codes import ExitCode
from ops.settings import Settings, compute_model_root
from sim2real.grasping.guardian_results import FallResult, GuardianEvaluation

if TYPE_CHECKING:
    from sim2real.grasping.guardian_run import GuardianRun

GUARDIAN = "guardian"
RUNS = 10_000
"""Runs for each fall, when nobody says how many."""

_console = Console()
_notes = Console(stderr=True)


def make_guardian_run(
    settings: Settings,
    config: Path,
    work: Path,
    seed: int,
    workers: int,
    *,
    is_quick: bool,
) -> "GuardianRun":
    """Return the training run of the Guardian.

    Raises:
        ConfigError: the work folder belongs to another run.
    """
    # torch takes seconds to import and is an extra.
    from policies.training.guardian_fit import GuardianFitPlan
    from sim2real.grasping.guardian_run import (
        DEFAULT_SCENES,
        QUICK_SCENES,
        GuardianPlan,
        GuardianRun,
    )

    plan = GuardianPlan(
        scenes=QUICK_SCENES if is_quick else DEFAULT_SCENES,
        seed=seed,
        fit=GuardianFitPlan(seed=seed),
    )
    live = compute_model_root(settings) / settings.policy.live
    return GuardianRun(plan, config, live, work, workers, _notes.print)


def evaluate(
    directory: Path, runs: int, seed: int, *, as_json: bool = False
) -> ExitCode:
    """Print how soon a fall is found; exit code 10 below the bars.

    Args:
        directory: of the model.
        runs: for each fall.
        seed: of what is drawn.
        as_json: print JSON instead of lines.

    Raises:
        ModelError: the model or its attempts cannot be used.
    """
    from sim2real.grasping.guardian_evaluation import evaluate_guardian

    say: Callable[[str], None] = _notes.print
    try:
        result = evaluate_guardian(directory, runs, seed, say)
    except KeyboardInterrupt:
        _notes.print("interrupted")
        return ExitCode.INTERRUPTED
    if as_json:
        _console.print_json(json.dumps(result.as_dict()))
    else:
        _print(result)
    return ExitCode.BAR_MISSED if result.missed else ExitCode.OK


def _print(result: GuardianEvaluation) -> None:
    low, high = result.false_alarm_interval
    _say(f"{result.guardian}: {result.attempts} recorded attempts to draw from")
    _say(
        f"false alarms: {result.false_alarms} in {result.good_attempts} good attempts, "
        f"95 % interval {low:.2f} .. {high:.2f} per 10 000; "
        f"outcomes alone: {result.outcome_false_alarms}"
    )
    for fall in result.falls:
        _print_fall(fall)
    for line in result.missed:
        _say(f"missed: {line}")


def _print_fall(fall: FallResult) -> None:
    def span(interval: tuple[float, float]) -> str:
        return f"{interval[0]:.0f} .. {interval[1]:.0f}"

    _say(f"fall to {fall.bad_ratio:.0%}, {fall.runs} runs, attempts until it is found:")
    _say(
        f"  median {fall.median:.0f} ({span(fall.median_interval)}), "
        f"95 % after {fall.late:.0f} ({span(fall.late_interval)})"
    )
    low, high = fall.sooner_interval
    _say(
        f"  outcomes alone, designed for {fall.outcome_design:.0%}: median "
        f"{fall.outcome_median:.0f}, 95 % after {fall.outcome_late:.0f}; "
        f"the Guardian is {fall.sooner:.0%} sooner ({low:.0%} .. {high:.0%})"
    )
    for state in fall.states:
        mark = " (never in training)" if state.is_unseen else ""
        _say(
            f"  {state.state}{mark}, own success {state.own_ratio:.0%}: median "
            f"{state.median:.0f}, 95 % after {state.late:.0f}; outcomes alone "
            f"{state.outcome_median:.0f}"
        )


def _say(line: str) -> None:
    _console.print(line, highlight=False, markup=False, soft_wrap=True)
