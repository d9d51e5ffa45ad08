"""Size, names and places of modules; what a path or a comment may not say."""

import re
import statistics
from pathlib import Path

import pytest

PACKAGES = ("cell", "policies", "safety", "calibration", "sim2real", "ops")
FORBIDDEN_NAMES = {
    "utils", "util", "helpers", "helper", "common", "manager", "handler", "handlers",
    "data", "info", "process", "misc", "base", "core",
}  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home/\w+)/")


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

    # What is no text holds such a path as text all the same.
    found = [
        str(path.relative_to(repository))
        for path in files
        if path != Path(__file__)
        and MACHINE_PATH.search(path.read_text("utf-8", errors="replace"))
    ]

    assert not found
