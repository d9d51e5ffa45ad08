"""Commands of the learning side: train, evaluate, export, list."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cell.contracts.errors import ConfigError, ModelError
from ops.exit_codes import ExitCode
from ops.runtime_directory import compute_state_directory
from ops.settings import compute_model_root, load_settings
from policies.config import SCRIPTED
from policies.guardian_manifest import GuardianManifest
from policies.model_directory import list_model_directories, read_any_directory
from sim2real.grasping import guardian_commands
from sim2real.grasping.evaluation import Evaluation, evaluate_policy
from sim2real.grasping.guardian_commands import GUARDIAN

if TYPE_CHECKING:
    from sim2real.grasping.guardian_run import GuardianRun
    from sim2real.grasping.training_run import TrainingRun

HEIGHTMAP = "heightmap"
TRAINED = (HEIGHTMAP, GUARDIAN)
SUCCESS_BARS = {HEIGHTMAP: 0.92, SCRIPTED: 0.80}
"""First-try success that `evaluate` asks for, by policy."""

_console = Console()
_notes = Console(stderr=True)


@dataclass(frozen=True)
class TrainingOptions:
    """What the command line says about a training run.

    Attributes:
        name: `heightmap` or `guardian`.
        seed: of data and training.
        config: configuration file.
        workers: labelling processes, 0 for one per core.
        work: folder of intermediate files, by default in the state directory.
        output: model directory to write, by default the configured one, or for a quick
            run one in the work folder.
        is_fresh: discard what an earlier run left in the work folder.
        is_quick: small everything; for trying it out, not for use.
    """

    name: str
    seed: int
    config: Path
    workers: int = 0
    work: Path | None = None
    output: Path | None = None
    is_fresh: bool = False
    is_quick: bool = False


def train(options: TrainingOptions) -> ExitCode:
    """Make data, train, export; goes on where an interrupted run stopped.

    Raises:
        ConfigError: the name is unknown, or the work folder belongs to another run.
    """
    try:
        run, output = open_run(options)
        run.run(output)
    except KeyboardInterrupt:
        _notes.print("interrupted; the same command goes on where it stopped")
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def export(options: TrainingOptions) -> ExitCode:
    """Export a finished training run again, with its parity check.

    Raises:
        ConfigError: as for `train`.
        ModelError: that run is not finished.
    """
    run, output = open_run(options)
    run.export(output)
    return ExitCode.OK


def fit_novelty(options: TrainingOptions) -> ExitCode:
    """Fit a model's statistics of its training inputs again; its weights stay.

    Raises:
        ConfigError: no other policy than the heightmap network has them.
        ModelError: the model, or the data that it was trained on, is not there.
    """
    from sim2real.grasping.novelty_fit import refit_novelty

    if options.name != HEIGHTMAP:
        raise ConfigError(f"policy {options.name!r} has no such statistics")
    settings = load_settings(options.config)
    state = compute_state_directory(settings.runtime.state_directory)
    work = options.work or state / "training" / f"{options.name}-{options.seed}"
    directory = options.output or compute_model_root(settings) / options.name
    novelty = refit_novelty(work, directory)
    _notes.print(
        f"{directory}: fitted to {novelty.fitted} training inputs; threshold "
        f"{novelty.threshold:.2f}, the {novelty.quantile:.1%} quantile of "
        f"{novelty.held_out} held-out ones"
    )
    _notes.print(
        "a controller that runs this model goes on with the old statistics, and within "
        f"{settings.policy.recheck_s:.0f} s its fallback policy takes over with the "
        "alarm model_invalid: start Cellward again, then the new ones hold"
    )
    return ExitCode.OK


def open_run(
    options: TrainingOptions,
) -> "tuple[TrainingRun | GuardianRun, Path]":
    """Return the training run of the options, and the model directory it will write.

    Raises:
        ConfigError: the name is unknown, or the work folder belongs to another run.
    """
    name = options.name
    if name not in TRAINED:
        raise ConfigError(
            f"policy {name!r} has no training; only {' and '.join(TRAINED)} have"
        )
    # torch takes seconds to import and is an extra.
    from sim2real.grasping.training_run import (
        DEFAULT_ROUNDS,
        QUICK_ROUNDS,
        TrainingPlan,
        TrainingRun,
        discard_run,
    )

    settings = load_settings(options.config)
    work = options.work
    if work is None:
        state = compute_state_directory(settings.runtime.state_directory)
        folder = f"{name}-{options.seed}{'-quick' * options.is_quick}"
        work = state / "training" / folder
    if options.is_fresh:
        discard_run(work)
    workers = options.workers or _cores()
    # What a quick run makes is too little to pick with: it replaces no model unasked.
    usual = work / "model" if options.is_quick else compute_model_root(settings) / name
    output = options.output or usual
    if name == GUARDIAN:
        guardian_run = guardian_commands.make_guardian_run(
            settings,
            options.config,
            work,
            options.seed,
            workers,
            is_quick=options.is_quick,
        )
        return guardian_run, output
    rounds = QUICK_ROUNDS if options.is_quick else DEFAULT_ROUNDS
    plan = TrainingPlan(rounds, options.seed)
    run = TrainingRun(plan, options.config, work, workers, _notes.print)
    return run, output


def evaluate(
    name: str,
    scenes: int,
    seed: int,
    config: Path,
    *,
    workers: int = 0,
    runs: int = guardian_commands.RUNS,
    as_json: bool = False,
) -> ExitCode:
    """Print first-try success on unseen scenes; exit code 10 below the bar.

    Args:
        name: a policy of the configured folder, `scripted`, or the path of a model
            folder, which has a slash in it.
        scenes: how many.
        seed: of the scenes.
        config: configuration file.
        workers: processes, 0 for one per core.
        runs: of a Guardian, whose evaluation needs no scenes.
        as_json: print JSON instead of lines.

    Raises:
        ModelError: there is no usable model of that name.
    """
    settings = load_settings(config)
    policy = name
    if name != SCRIPTED and "/" not in name:
        policy = str(compute_model_root(settings) / name)
    if policy != SCRIPTED and _is_guardian(Path(policy)):
        return guardian_commands.evaluate(Path(policy), runs, seed, as_json=as_json)
    seen: Evaluation | None = None

    def report(so_far: Evaluation) -> None:
        nonlocal seen
        seen = so_far
        _notes.print(
            f"{so_far.scenes}/{scenes} scenes, {so_far.successes} lifted",
            highlight=False,
        )

    code = ExitCode.OK
    try:
        evaluate_policy(config, policy, scenes, seed, workers or _cores(), report)
    except KeyboardInterrupt:
        _notes.print("interrupted; what follows is about the scenes so far")
        code = ExitCode.INTERRUPTED
    if seen is None:
        return code
    if as_json:
        _console.print_json(json.dumps(seen.as_dict()))
    else:
        _print_evaluation(seen)
    bar = SUCCESS_BARS.get(seen.policy.split("-")[0], 0.0)
    if code is ExitCode.OK and seen.success_ratio < bar:
        return ExitCode.BAR_MISSED
    return code


def list_policies(config: Path, *, as_json: bool = False) -> ExitCode:
    """Print every model of the configured folder, damaged ones with the reason."""
    settings = load_settings(config)
    root = compute_model_root(settings)
    rows: list[dict[str, object]] = [{"name": SCRIPTED, "version": "1", "use": ""}]
    for directory in list_model_directories(root):
        try:
            manifest = read_any_directory(directory).manifest
        except ModelError as error:
            rows.append({"name": directory.name, "error": str(error)})
            continue
        rows.append(
            {
                "name": directory.name,
                "version": manifest.version,
                "sha256": manifest.model_sha256,
                "metrics": dict(manifest.metrics),
            }
        )
    for row in rows:
        is_live = row["name"] == settings.policy.live
        is_fallback = row["name"] == settings.policy.fallback
        row["use"] = "live" if is_live else "fallback" if is_fallback else ""
    if as_json:
        _console.print_json(json.dumps(rows))
    else:
        _print_rows(rows)
    return ExitCode.OK


def _is_guardian(directory: Path) -> bool:
    return isinstance(read_any_directory(directory).manifest, GuardianManifest)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _print_evaluation(result: Evaluation) -> None:
    low, high = result.interval
    _console.print(
        f"{result.policy}: first try {result.successes}/{result.scenes} = "
        f"{result.success_ratio:.1%}, 95 % interval {low:.1%} .. {high:.1%}",
        highlight=False,
    )
    for cause, count in sorted(result.failures.items()):
        scenes = [str(s) for s, c in result.failed_scenes.items() if c == cause]
        _console.print(f"  {cause}: {count} (scenes {', '.join(scenes)})")
    fewest, most = result.parts
    _console.print(f"  {fewest} to {most} parts in the bin", highlight=False)
    _console.print(f"  median time to propose {result.policy_ms_p50:.1f} ms")


def _print_rows(rows: list[dict[str, object]]) -> None:
    for row in rows:
        if "error" in row:
            _console.print(f"{row['name']}: {row['error']}")
            continue
        use = f" [{row['use']}]" if row["use"] else ""
        _console.print(f"{row['name']} {row['version']}{use}", markup=False)
        metrics = row.get("metrics")
        if isinstance(metrics, dict):
            for key, value in metrics.items():
                _console.print(f"  {key}: {value:g}", highlight=False)
