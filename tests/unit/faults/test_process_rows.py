"""Parts of the rows about processes that need no cell."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.settings import load_settings
from sim2real.faults.evidence import Evidence
from sim2real.faults.restart_scenario import find_wrong_limit
from sim2real.faults.stand import Stand, StandError
from sim2real.faults.suspend_scenario import find_controller, sleep_and_wake


@pytest.fixture
def children(tmp_path: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Return two processes, of which the first alone names the configuration."""
    names = (tmp_path / "controller.yaml", tmp_path / "another.yaml")
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    started = [
        subprocess.Popen([*command, str(name)], stdin=subprocess.PIPE) for name in names
    ]
    yield started
    for child in started:
        child.kill()
        child.communicate()


def make_stand(folder: Path) -> Stand:
    files = SimpleNamespace(controller=folder / "controller.yaml")
    return cast("Stand", SimpleNamespace(files=files))


def test_a_controller_is_found_by_its_configuration_and_no_other_process(
    tmp_path: Path, children: list["subprocess.Popen[bytes]"]
) -> None:
    assert find_controller(make_stand(tmp_path)) == {children[0].pid}


def test_what_is_no_whole_controller_is_not_put_to_sleep(
    tmp_path: Path, children: list["subprocess.Popen[bytes]"]
) -> None:
    with pytest.raises(StandError, match="1 processes only"):
        sleep_and_wake(make_stand(tmp_path))

    assert [child.poll() for child in children] == [None, None]


@pytest.mark.parametrize(
    ("limit", "said"), [(5, ""), (3, ""), (6, "permits 6 restarts")]
)
def test_the_limit_of_restarts_is_that_of_the_fault_list_or_less(
    repository: Path, limit: int, said: str
) -> None:
    settings: Any = load_settings(repository / "config.yaml")
    runtime = settings.runtime.model_copy(update={"restart_limit": limit})
    files = SimpleNamespace(settings=settings.model_copy(update={"runtime": runtime}))
    evidence = SimpleNamespace(stand=SimpleNamespace(files=files))

    missed = find_wrong_limit(cast("Evidence", evidence))

    assert (said in missed) if said else missed == ""
