"""Size, names and places of modules; what a path or a comment may not say."""

import re
import statistics
import zipfile
from pathlib import Path

import numpy as np
import pytest

PACKAGES = ("cell", "policies", "safety", "calibration", "sim2real", "ops")
FORBIDDEN_NAMES = {
    "utils", "util", "helpers", "helper", "common", "manager", "handler", "handlers",
    "data", "info", "process", "misc", "base", "core",
}  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home/\w+)/")
# In binaries the length of a string stands before it, which may be any byte.
MACHINE_PATH_BYTES = re.compile(rb"/(work|root|home/\w+)/\w")


def find_machine_path(path: Path) -> bool:
    """Look for a path of somebody's machine, in text and in what holds text."""
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as members:
            contents = [members.read(name) for name in members.namelist()]
        # Text in arrays is four bytes a letter.
        contents += [content.replace(b"\0", b"") for content in contents]
        return any(MACHINE_PATH_BYTES.search(content) for content in contents)
    if path.suffix == ".onnx":
        return bool(MACHINE_PATH_BYTES.search(path.read_bytes()))
    return bool(MACHINE_PATH.search(path.read_text("utf-8")))


def find_modules(repository: Path) -> list[Path]:
    return [path for name in PACKAGES for path in (repository / name).rglob("*.py")]


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_module_is_longer_than_400_lines(repository: Path) -> None:
    long = {
        str(path.relative_to(repository)): count_lines(path)
        for path in find_modules(repository)
        if count_lines(path) > 400
    }

    assert not long


def test_the_median_module_has_at_most_150_lines(repository: Path) -> None:
    sizes = [count_lines(path) for path in find_modules(repository)]

    assert statistics.median(size for size in sizes if size > 1) <= 150


def test_no_module_has_a_name_that_says_nothing(repository: Path) -> None:
    found = [path for path in find_modules(repository) if path.stem in FORBIDDEN_NAMES]

    assert not found


def test_every_package_says_what_it_is_for(repository: Path) -> None:
    packages = [path for path in find_modules(repository) if path.stem == "__init__"]

    assert not [path for path in packages if not path.read_text().startswith('"""')]


@pytest.mark.parametrize(
    "pattern",
    [
        *("*.py", "*.md", "*.yaml", "*.toml", "*.lock"),
        *("*.json", "*.svg", "*.npz", "*.onnx"),
    ],
)
def test_no_file_names_a_place_on_somebodys_machine(
    repository: Path, pattern: str
) -> None:
    folders = [repository / name for name in (*PACKAGES, "tests", "requirements")]
    files = [path for folder in folders for path in folder.rglob(pattern)]
    files += list(repository.glob(pattern))

    found = [
        str(path.relative_to(repository))
        for path in files
        if path != Path(__file__) and find_machine_path(path)
    ]

    assert not found


def test_a_path_is_found_in_what_is_no_text(tmp_path: Path) -> None:
    path = "/" + "/".join(("root", "somewhere"))
    np.savez_compressed(tmp_path / "it.npz", note=np.array(path))
    # Of a string of 50 bytes the length before it is a letter.
    (tmp_path / "it.onnx").write_bytes(b"\x0a\x32" + path.ljust(50, "x").encode())

    for name in ("it.npz", "it.onnx"):
        assert find_machine_path(tmp_path / name)
