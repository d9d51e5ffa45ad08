"""The file itself: who may have written it, and that it is one."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

import pytest

from cell.contracts.errors import ConfigError, ConfigPermissionsError, FaultCode
from ops.config_file import read_config_file

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@dataclass
class Group:
    gr_mem: list[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\n")
    path.chmod(0o644)
    return path


def test_an_ordinary_file_is_read(path: Path) -> None:
    assert read_config_file(path) == b"a: 1\n"


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; name one with"):
        read_config_file(tmp_path / "nowhere.yaml")


def test_a_folder_is_not_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a file"):
        read_config_file(tmp_path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigError, match="is not a file"):
        read_config_file(tmp_path / "pipe")


def test_a_file_that_everybody_may_write_is_refused(path: Path) -> None:
    path.chmod(0o666)

    with pytest.raises(ConfigPermissionsError, match="chmod o-w") as caught:
        read_config_file(path)

    assert caught.value.code is FaultCode.CONFIG_PERMISSIONS


def test_the_target_of_a_link_is_what_is_checked(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    assert read_config_file(link) == b"a: 1\n"

    path.chmod(0o666)

    with pytest.raises(ConfigPermissionsError, match="everybody may write"):
        read_config_file(link)


def test_a_file_that_a_group_of_several_may_write_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.chmod(0o664)
    monkeypatch.setattr(grp, "getgrgid", lambda _: Group(["someone"]))

    with pytest.raises(ConfigPermissionsError, match="chmod g-w"):
        read_config_file(path)


def test_a_group_of_the_owner_alone_may_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.chmod(0o664)
    monkeypatch.setattr(grp, "getgrgid", lambda _: Group([]))
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwall", lambda: [me])

    assert read_config_file(path) == b"a: 1\n"


def test_a_folder_in_which_everybody_may_replace_it_is_refused(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(ConfigPermissionsError, match="everybody may replace it"):
        read_config_file(path)

    path.parent.chmod(0o1777)
    assert read_config_file(path) == b"a: 1\n"


def test_an_ordinary_user_refuses_the_file_of_another(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert read_config_file(path) == b"a: 1\n"
        os.chown(path, 12345, 12345)

    with pytest.raises(ConfigPermissionsError, match="give it to root or to the user"):
        read_config_file(path)


@needs_root
def test_root_refuses_the_file_of_another_user(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    os.chown(path, 12345, 12345)

    with pytest.raises(ConfigPermissionsError, match="chown root"):
        read_config_file(path)


@needs_root
def test_root_accepts_the_file_of_the_person_who_called_sudo(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    os.chown(path, 12345, 12345)

    assert read_config_file(path) == b"a: 1\n"
