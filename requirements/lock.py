"""Writes the lock files of this folder from `pyproject.toml`.

Run it with Python 3.11 in an environment that has `pip-tools`:

    python requirements/lock.py

One resolution of everything is split into layers, so that a later layer never
changes a package of an earlier one. `torch.lock` is written by hand and has no
hashes: which build of torch fits is a matter of the machine.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent
_LAYERS: Final = {"runtime": ("", "sim"), "train": ("train",), "test": ("test",)}

# What torch itself asks for; torch is kept out of the hashed files.
_TORCH_NEEDS: Final = (
    "filelock",
    "fsspec>=0.8.5",
    "jinja2",
    "networkx>=2.5.1,<3.7",  # 3.7 has left Python 3.11
    "setuptools>=77.0.3",
    "sympy>=1.13.3",
    "typing-extensions>=4.10.0",
)
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==.*?(?=^[A-Za-z0-9]|\Z)", re.M | re.S)
_OPTIONS: Final = (
    "--quiet --generate-hashes --no-emit-index-url --no-emit-find-links"
    " --no-emit-trusted-host --no-header --no-annotate --strip-extras --allow-unsafe"
)


def main() -> None:
    """Resolve the layers one on top of the other and write their files."""
    project = tomllib.loads((_FOLDER.parent / "pyproject.toml").read_text())["project"]
    wanted: list[str] = []
    done: dict[str, str] = {}
    for layer, groups in _LAYERS.items():
        for group in groups:
            wanted += _requirements_of(project, group)
        pins = _resolve(wanted, done)
        new = {name: pin for name, pin in pins.items() if name not in done}
        (_FOLDER / f"{layer}.lock").write_text("".join(new.values()))
        done |= new
        sys.stdout.write(f"{layer}.lock: {len(new)} packages\n")


def _requirements_of(project: dict[str, object], group: str) -> list[str]:
    if not group:
        found = project["dependencies"]
    else:
        extras = project["optional-dependencies"]
        found = extras[group] if isinstance(extras, dict) else []
    lines = [str(line) for line in found] if isinstance(found, list) else []
    if group == "train":
        lines = [line for line in lines if not line.startswith("torch=")]
        lines += _TORCH_NEEDS
    return lines


def _resolve(wanted: list[str], done: dict[str, str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "wanted.in")
        target = Path(folder, "wanted.lock")
        source.write_text("\n".join(wanted) + "\n")
        # An existing target keeps its pins, so earlier layers stay as they are.
        target.write_text("".join(done.values()))
        command = [sys.executable, "-m", "piptools", "compile", *_OPTIONS.split()]
        subprocess.run([*command, "-o", str(target), str(source)], check=True)
        text = target.read_text()
    return {m.group(1): m.group(0).rstrip() + "\n" for m in _PIN.finditer(text)}


if __name__ == "__main__":
    main()
