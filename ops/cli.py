"""The command line. Imports of weight happen inside the commands that need them."""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cell.contracts.errors import CellError
from ops.exit_codes import ExitCode, compute_exit_code

_ROOT = Path(__file__).resolve().parent.parent
_DEFAULT_CONFIG = _ROOT / "config.yaml"

app = typer.Typer(
    name="cellward",
    help=(
        "Production controller for a robot grasping cell. Not safety-rated: protecting "
        "people is the job of the robot's safety controller, the safety PLC and the "
        "fence."
    ),
    epilog="./cellward test runs every check and test; the launcher sets it up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
policy_app = typer.Typer(help="Train, export, evaluate and list grasp policies.")
app.add_typer(policy_app, name="policy", no_args_is_help=True)
faults_app = typer.Typer(help="Try what can break, on the virtual cell.")
app.add_typer(faults_app, name="faults", no_args_is_help=True)

guardian_app = typer.Typer(help="Where the Guardian stands, and a person's release.")
app.add_typer(guardian_app, name="guardian", no_args_is_help=True)

ConfigOption = Annotated[
    Path, typer.Option("--config", help="Configuration file.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    config: ConfigOption = _DEFAULT_CONFIG,
    duration: Annotated[
        str, typer.Option("--for", help="Stop after this long: 90s, 10m, 1h.")
    ] = "",
    picks: Annotated[
        int, typer.Option("--picks", min=0, help="Stop after this many placed parts.")
    ] = 0,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a JSON report here.")
    ] = None,
    no_tty: Annotated[
        bool, typer.Option("--no-tty", help="Plain lines instead of the live view.")
    ] = False,
) -> None:
    """Start the cell (and the virtual cell when configured) and pick parts."""
    from ops.run_command import parse_duration_s, run_cell
    from ops.run_session import RunRequest

    _finish(
        run_cell(
            RunRequest(
                config_path=config,
                duration_s=parse_duration_s(duration),
                picks=picks,
                report_path=report,
                is_live=not no_tty and sys.stdout.isatty(),
            )
        )
    )


@app.command()
def sim(config: ConfigOption = _DEFAULT_CONFIG) -> None:
    """Start the virtual cell alone, to commission a PLC or a robot client against."""
    from ops.run_command import run_virtual_cell

    _finish(run_virtual_cell(config))


@app.command()
def check(config: ConfigOption = _DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Say everything that keeps the cell from starting."""
    from ops.check import run_check

    _finish(run_check(config, as_json=as_json))


@app.command()
def registers(
    form: Annotated[
        str, typer.Option("--format", help="table, csv, markdown or json.")
    ] = "table",
) -> None:
    """Print the Modbus register map."""
    from ops.register_command import print_registers

    _finish(print_registers(form))


@app.command()
def bench(
    config: ConfigOption = _DEFAULT_CONFIG,
    duration: Annotated[
        str, typer.Option("--for", help="How long the cell part runs.")
    ] = "60s",
    as_json: JsonOption = False,
) -> None:
    """Measure servo lateness, guard, policy and cycle time, as figures and ratios."""
    from ops.bench import run_bench
    from ops.run_command import parse_duration_s

    _finish(run_bench(config, parse_duration_s(duration), as_json=as_json))


@guardian_app.command("show")
def guardian_show(
    config: ConfigOption = _DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Say which policy picks, and why."""
    from ops.guardian_command import show_guardian

    _finish(show_guardian(config, as_json=as_json))


@guardian_app.command("release")
def guardian_release(
    by: Annotated[str, typer.Option("--by", help="Name of the person who agrees.")],
    config: ConfigOption = _DEFAULT_CONFIG,
) -> None:
    """Agree by name that the learned policy returns, or is tried once more."""
    from ops.guardian_command import release_learned

    _finish(release_learned(config, by))


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@policy_app.command("list", context_settings=_PASS_ON, add_help_option=False)
def policy_list(context: typer.Context) -> None:
    """List the policies and the models that are shipped."""
    _run_learning("list", context.args)


@policy_app.command("train", context_settings=_PASS_ON, add_help_option=False)
def policy_train(context: typer.Context) -> None:
    """Train a policy from simulated grasps: NAME --seed N."""
    _run_learning("train", context.args)


@policy_app.command("export", context_settings=_PASS_ON, add_help_option=False)
def policy_export(context: typer.Context) -> None:
    """Export a trained policy to ONNX with a parity check: NAME."""
    _run_learning("export", context.args)


@policy_app.command("novelty", context_settings=_PASS_ON, add_help_option=False)
def policy_novelty(context: typer.Context) -> None:
    """Fit again what a model's training inputs looked like; weights stay: NAME."""
    _run_learning("novelty", context.args)


@policy_app.command("evaluate", context_settings=_PASS_ON, add_help_option=False)
def policy_evaluate(context: typer.Context) -> None:
    """Measure first-try success on unseen scenes: NAME --scenes N --seed N."""
    _run_learning("evaluate", context.args)


@faults_app.command("list", context_settings=_PASS_ON, add_help_option=False)
def faults_list(context: typer.Context) -> None:
    """List every fault of the catalogue, and what must follow: [--json]."""
    _run_above("sim2real.faults", ["list", *context.args])


@faults_app.command("run", context_settings=_PASS_ON, add_help_option=False)
def faults_run(context: typer.Context) -> None:
    """Try faults: --id F17, or --all; [--json]."""
    _run_above("sim2real.faults", ["run", *context.args])


@app.command(context_settings=_PASS_ON, add_help_option=False)
def panel(context: typer.Context) -> None:
    """Give commands at the virtual line: ack clear reset start hold unhold ..."""
    _run_above("sim2real.virtual_cell.plc.panel", context.args)


def _run_learning(command: str, arguments: list[str]) -> NoReturn:
    _run_above("sim2real.grasping", [command, *arguments])


def _run_above(module: str, arguments: list[str]) -> NoReturn:
    # What sits above this package, and may bring heavy imports, gets an interpreter of
    # its own instead of an import, in the caller's folder, for relative paths.
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1"}
    os.execve(  # noqa: S606
        sys.executable,
        [sys.executable, "-m", module, *arguments],
        environment,
    )


def _finish(code: ExitCode) -> None:
    if code is not ExitCode.OK:
        raise typer.Exit(int(code))


def main() -> None:
    """Run the command line; a deliberate error is one line and its exit code."""
    try:
        app(prog_name="cellward")
    except CellError as error:
        from ops.screen import say_last

        say_last(f"cellward: {error}")
        sys.exit(int(compute_exit_code(error)))


if __name__ == "__main__":
    main()
