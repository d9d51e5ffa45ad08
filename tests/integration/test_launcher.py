"""The launcher, in a copy of its own with nothing to download."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXIT_SETUP = 11
STUB = """
import os, sys
print(os.getcwd(), sys.argv[1:], sys.prefix != sys.base_prefix)
"""

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the launcher, empty locks and a stub of the product."""
    folder = tmp_path_factory.mktemp("a checkout")
    shutil.copy(ROOT / "cellward", folder)
    (folder / "requirements").mkdir()
    for layer in ("runtime", "train", "torch", "test"):
        (folder / "requirements" / f"{layer}.lock").write_text("# nothing\n")
    (folder / "ops").mkdir()
    (folder / "ops" / "__init__.py").touch()
    (folder / "ops" / "__main__.py").write_text(STUB)
    return folder


@pytest.fixture
def launch(checkout: Path, tmp_path: Path) -> Launch:
    def run(
        *arguments: str, python: str = "", timeout_s: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "CELLWARD_PYTHON": python or sys._base_executable,  # type: ignore[attr-defined]
            "CELLWARD_NO_APT": "1",
        }
        return subprocess.run(
            [str(checkout / "cellward"), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    return run


@pytest.fixture
def ready(checkout: Path, launch: Launch) -> Path:
    """Return the environment, made if the tests before have left none."""
    assert launch("--help").returncode == 0
    return checkout / ".venv"


def test_the_first_start_sets_up_and_then_runs(
    checkout: Path, launch: Launch, tmp_path: Path
) -> None:
    shutil.rmtree(checkout / ".venv", ignore_errors=True)

    result = launch("policy", "list", "two words")

    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path} ['policy', 'list', 'two words'] True\n"
    assert "set-up is complete" in result.stderr


@pytest.mark.usefixtures("ready")
def test_the_second_start_says_nothing_of_its_own(launch: Launch) -> None:
    assert launch("--help").stderr == ""


def test_a_set_up_that_was_cut_off_is_made_anew(ready: Path, launch: Launch) -> None:
    (ready / "cellward" / "runtime.busy").touch()

    result = launch("--help")

    assert "incomplete or broken; making it anew" in result.stderr
    assert result.returncode == 0
    assert not (ready / "cellward" / "runtime.busy").exists()


def test_a_broken_interpreter_is_replaced(ready: Path, launch: Launch) -> None:
    (ready / "bin" / "python").unlink()
    (ready / "bin" / "python").symlink_to("/nonexistent/python")

    result = launch("--help")

    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr


def test_a_changed_lock_is_installed(
    checkout: Path, ready: Path, launch: Launch
) -> None:
    lock = checkout / "requirements" / "runtime.lock"
    lock.write_text(lock.read_text() + "# changed\n")

    result = launch("--help")

    assert "installing runtime" in result.stderr
    assert "making the environment" not in result.stderr
    assert launch("--help").stderr == ""


def test_an_environment_of_somebody_else_is_kept(
    checkout: Path, ready: Path, launch: Launch
) -> None:
    shutil.rmtree(ready / "cellward")
    (ready / "precious").touch()

    result = launch("--help")

    assert result.returncode == 0
    kept = list(checkout.glob(".venv.previous.*"))
    assert [folder for folder in kept if (folder / "precious").exists()]


@pytest.mark.usefixtures("ready")
def test_a_moved_checkout_goes_on(
    checkout: Path, launch: Launch, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    checkout.rename(moved)
    try:
        result = subprocess.run(
            [str(moved / "cellward"), "check"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, "CELLWARD_NO_APT": "1"},
        )
    finally:
        moved.rename(checkout)

    assert result.returncode == 0
    assert "installing" not in result.stderr


def test_two_starts_at_once_set_up_once(checkout: Path, launch: Launch) -> None:
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    environment = {**os.environ, "CELLWARD_NO_APT": "1"}
    first = subprocess.Popen(
        [str(checkout / "cellward"), "--help"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert first.stderr is not None
    first_line = first.stderr.readline()  # it holds the lock now

    second = launch("--help")
    rest = first.communicate(timeout=90)[1]

    assert "making the environment" in first_line
    assert first.returncode == 0, rest
    assert second.returncode == 0
    assert "making the environment" not in second.stderr


@pytest.mark.parametrize("python", ["/bin/false", "/nonexistent/python", "/bin/cat"])
def test_an_interpreter_that_does_not_fit_is_one_sentence(
    python: str, checkout: Path, launch: Launch
) -> None:
    shutil.rmtree(checkout / ".venv", ignore_errors=True)

    result = launch("--help", python=python)

    assert result.returncode == EXIT_SETUP
    assert result.stderr == (
        f"cellward: CELLWARD_PYTHON={python} is not a working Python 3.11 or 3.12\n"
    )


@pytest.mark.usefixtures("ready")
def test_a_failed_extra_leaves_the_runtime_as_it_was(
    checkout: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = checkout / "requirements" / "train.lock"
    lock.write_text(f"nothing-like-it==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    failed = launch("policy", "train")
    lock.write_text("# nothing\n")

    assert failed.returncode == EXIT_SETUP
    assert "Traceback" not in failed.stderr
    assert "start again" in failed.stderr
    assert launch("--help").stderr == ""


@pytest.mark.alone
@pytest.mark.usefixtures("ready")
def test_the_check_of_the_environment_costs_next_to_nothing(launch: Launch) -> None:
    durations_s = []
    for _ in range(5):
        started = time.monotonic()
        launch("--help")
        durations_s.append(time.monotonic() - started)

    # Far above what it takes, so that only a rebuild or a probe of the network fails.
    assert min(durations_s) < 2.0
