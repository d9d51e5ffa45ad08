"""Nothing that is shipped tells where it was made."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_PATH = re.compile(rb"/(?:home|root|work|build)/[\w.-]+/|site-packages|\.venv/lib")
_PARTS = ("calibration", "cell", "ops", "policies", "safety", "sim2real")
_SHIPPED = (".json", ".md", ".npz", ".onnx", ".svg", ".toml", ".yaml", ".lock", ".txt")


def list_shipped() -> list[Path]:
    """Return the files beside the code: models, tables, pages, locks."""
    inside = (p for part in _PARTS for p in (ROOT / part).rglob("*"))
    beside = (ROOT / "requirements").rglob("*")
    return [
        path
        for path in (*ROOT.glob("*"), *inside, *beside)
        if path.suffix in _SHIPPED and path.is_file()
    ]


def test_models_pages_and_locks_hold_no_path_of_a_machine() -> None:
    shipped = list_shipped()
    assert len([path for path in shipped if path.suffix == ".onnx"]) >= 2

    found = {
        str(path.relative_to(ROOT)): match.group().decode()
        for path in shipped
        if (match := _PATH.search(path.read_bytes()))
    }

    assert not found


@pytest.mark.parametrize("text", [b"/work/one/x.py", b"a/.venv/lib/b", b"/home/me/c"])
def test_a_path_of_a_machine_is_recognised(text: bytes) -> None:
    assert _PATH.search(text)
