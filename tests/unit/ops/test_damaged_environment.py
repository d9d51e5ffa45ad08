"""A package that does not load is one sentence; a defect of ours is a traceback."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def lose_a_module(package: Path) -> None:
    (package / "__init__.py").write_text("from typer import gone\n")


def lose_a_library(package: Path) -> None:
    (package / "__init__.py").write_text("import typer._native\n")
    (package / "_native.so").write_bytes(b"\0" * 64)


def fill_with_zeros(package: Path) -> None:
    (package / "__init__.py").write_bytes(b"\0" * 64)


@pytest.mark.parametrize("damage", [lose_a_module, lose_a_library, fill_with_zeros])
def test_a_damaged_package_is_one_sentence_with_the_remedy(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    package = tmp_path / "site-packages" / "typer"
    package.mkdir(parents=True)
    damage(package)

    ended = run_ops(package.parent, ROOT)

    assert ended.returncode == 11, ended.stderr
    assert ended.stderr.startswith("cellward: the environment is damaged (")
    assert ended.stderr.endswith(f"rm -r {sys.prefix}\n")
    assert ended.stderr.count("\n") == 1


def test_a_module_of_ours_that_does_not_load_keeps_its_traceback(
    tmp_path: Path,
) -> None:
    (tmp_path / "ops").symlink_to(ROOT / "ops")
    (tmp_path / "cell").mkdir()

    ended = run_ops(tmp_path, tmp_path)

    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def run_ops(*folders: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ops", "--help"],
        env=dict(os.environ, PYTHONPATH=":".join(map(str, folders))),
        cwd=folders[0],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
