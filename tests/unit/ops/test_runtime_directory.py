"""The folder of shared memory: ours alone, and nothing of anybody else's deleted."""

import os
from pathlib import Path

import pytest

from cell.contracts.errors import ConfigError, StorageError
from ops.runtime_directory import clear_stale, make_directory, open_runtime_directory


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    path = open_runtime_directory(str(tmp_path / "runtime"))

    assert path.stat().st_mode & 0o777 == 0o700
    assert open_runtime_directory(str(path)) == path


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runtime"
    path.mkdir()
    path.chmod(0o755)

    with pytest.raises(ConfigError, match="chmod 700"):
        open_runtime_directory(str(path))


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "runtime").symlink_to(tmp_path / "target")

    with pytest.raises(ConfigError, match="is a link or a file"):
        open_runtime_directory(str(tmp_path / "runtime"))


def test_the_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runtime"
    path.mkdir(mode=0o700)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)

    with pytest.raises(ConfigError, match="belongs to user"):
        open_runtime_directory(str(path))


def test_a_folder_with_files_of_others_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "documents"
    path.mkdir(mode=0o700)
    (path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigError, match="name an empty folder"):
        open_runtime_directory(str(path))

    assert [entry.name for entry in path.iterdir()] == ["thesis.txt"]


def test_what_an_earlier_run_left_is_cleared(tmp_path: Path) -> None:
    path = open_runtime_directory(str(tmp_path / "runtime"))
    (path / "servo_state").touch()
    (path / "lock").touch()

    clear_stale(path)

    assert {entry.name for entry in path.iterdir()} == {".cellward", "lock"}


def test_a_folder_that_takes_nothing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)

    with pytest.raises(StorageError, match="No space left on device; free space"):
        make_directory(tmp_path / "state")
