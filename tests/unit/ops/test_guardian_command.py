"""A named person's release, from the command line to where the supervisor reads it."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cell.contracts.errors import ConfigError
from cell.mailbox.text import TextMailbox
from ops.exit_codes import ExitCode
from ops.guardian_command import release_learned, show_guardian
from ops.guardian_watch import ReleaseBox
from ops.telemetry import STATUS_CAPACITY
from tests.running_cell import write_config


class FakeCell:
    """A status, and a supervisor that takes a release when it waits for one."""

    def __init__(self, folder: Path) -> None:
        self.config = write_config(folder, "127.0.0.1")
        self.runtime = folder / "runtime"
        self.runtime.mkdir(mode=0o700)
        self._status = TextMailbox(self.runtime / "status", STATUS_CAPACITY)
        self._box = ReleaseBox(self.runtime)
        self.taken: list[str] = []
        self.age_ns = 0

    def say(self, **view: Any) -> None:
        self._status.write(
            json.dumps(
                {"guardian": view, "stamp_ns": time.monotonic_ns() - self.age_ns}
            )
        )

    def take(self, until_s: float) -> None:
        """Take the next name as the supervisor's turns do."""
        deadline_s = time.monotonic() + until_s
        while time.monotonic() < deadline_s and not self.taken:
            name = self._box.take()
            if name:
                self.taken.append(name)
                self.say(trust="trusted", awaits_release=False, released_by=name)
            time.sleep(0.01)

    def close(self) -> None:
        self._status.close()
        self._box.close()


@pytest.fixture
def cell(tmp_path: Path) -> Any:
    made = FakeCell(tmp_path)
    yield made
    made.close()


def test_a_release_arrives_with_the_name_and_is_confirmed(
    cell: FakeCell, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.say(trust="may return", awaits_release=True, released_by="")
    supervisor = threading.Thread(target=cell.take, args=(10.0,))
    supervisor.start()

    code = release_learned(cell.config, "  Ada Lovelace ")
    supervisor.join()

    assert code is ExitCode.OK
    assert cell.taken == ["Ada Lovelace"]
    assert "released by Ada Lovelace" in capsys.readouterr().out


def test_what_an_ended_cell_has_left_is_not_shown_as_news(
    cell: FakeCell, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.age_ns = 10 * 10**9
    cell.say(trust="trusted", awaits_release=False)

    assert show_guardian(cell.config, as_json=False) is ExitCode.NOT_READY
    assert "no cell runs" in capsys.readouterr().err


def test_nothing_is_released_that_does_not_wait_for_it(
    cell: FakeCell, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.say(trust="shadow", awaits_release=False, released_by="")

    assert release_learned(cell.config, "Ada") is ExitCode.NOT_READY
    assert "is: shadow" in capsys.readouterr().err
    assert not cell._box.take()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 300])
def test_a_release_without_a_name_is_refused(cell: FakeCell, name: str) -> None:
    cell.say(trust="may return", awaits_release=True, released_by="")

    with pytest.raises(ConfigError, match="--by"):
        release_learned(cell.config, name)


def test_a_name_from_before_this_life_counts_for_nothing(cell: FakeCell) -> None:
    box = ReleaseBox(cell.runtime)
    box.write("Ada")
    box.close()

    later = ReleaseBox(cell.runtime)
    assert later.take() == ""
    later.close()
    assert cell._box.take() == "Ada"
    assert cell._box.take() == ""


def test_where_no_cell_runs_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, "127.0.0.1")

    assert show_guardian(config, as_json=False) is ExitCode.NOT_READY
    assert release_learned(config, "Ada") is ExitCode.NOT_READY
    assert "no cell runs" in capsys.readouterr().err


def test_it_shows_where_the_guardian_stands(
    cell: FakeCell, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.say(trust="shadow", in_charge="scripted-1", why="grasps succeed less often")

    assert show_guardian(cell.config, as_json=True) is ExitCode.OK
    assert json.loads(capsys.readouterr().out)["in_charge"] == "scripted-1"
    assert show_guardian(cell.config, as_json=False) is ExitCode.OK
    said = capsys.readouterr().out.splitlines()
    assert said[0].split(maxsplit=1) == ["picks", "scripted-1"]
    assert said[1].split() == ["learned", "policy", "shadow"]
    assert said[2].split(maxsplit=1) == ["because", "grasps succeed less often"]


def test_it_says_to_people_what_leads_back(
    cell: FakeCell, capsys: pytest.CaptureFixture[str]
) -> None:
    cell.say(
        trust="may return",
        in_charge="scripted-1",
        is_fallback=True,
        awaits_release=True,
        released_by="Ada",
        falls=2,
        falls_since_release=1,
        falls_max=3,
        shadow_attempts=41,
        shadow_needed=40,
        shadow_looks=9,
        shadow_agreements=8,
        learned_attempts=70,
        learned_interventions=1,
        novel_grasps=0,
    )

    assert show_guardian(cell.config, as_json=False) is ExitCode.OK
    said = capsys.readouterr().out
    assert "scripted-1 in place of the learned policy" in said
    assert "2 times in this run; 1 of 3 after which" in said
    assert "41 of 40 attempts; 8 of 9 proposals" in said
    assert "./cellward guardian release --by NAME" in said
    assert "1 of its 70 attempts" in said

    cell.say(trust="trusted", awaits_release=False, released_by="Ada", falls=0)
    assert show_guardian(cell.config, as_json=False) is ExitCode.OK
    said = capsys.readouterr().out
    assert "last given by Ada" in said
    assert "in shadow" not in said
