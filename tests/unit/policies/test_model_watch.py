"""The files of a running model are hashed again, a slice at a time."""

import hashlib
from pathlib import Path

import pytest

from cell.contracts.errors import ModelError, ModelMissingError
from policies.runtime import model_watch
from policies.runtime.model_watch import ModelWatch

S = 1_000_000_000
HOUR = 3600 * S


@pytest.fixture
def files(tmp_path: Path) -> dict[Path, str]:
    """Return the digests of two small files, the first of three slices."""
    contents = {"model.onnx": b"weights" * 4, "manifest.json": b"{}"}
    digests = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        digests[tmp_path / name] = hashlib.sha256(content).hexdigest()
    return digests


def look(watch: ModelWatch, now_ns: int) -> ModelError | None:
    """Take as many turns as a look needs, at one time; return what it found."""
    for _ in range(20):
        found = watch.turn(now_ns)
        if found is not None:
            return found
    return None


def test_files_that_are_as_they_were_give_no_alarm(files: dict[Path, str]) -> None:
    watch = ModelWatch(files, HOUR)

    assert [look(watch, hours * HOUR) for hours in range(5)] == [None] * 5


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_changed_bit_is_found_with_the_next_look_and_no_sooner(
    files: dict[Path, str], name: str
) -> None:
    watch = ModelWatch(files, HOUR)
    path = next(path for path in files if path.name == name)
    assert look(watch, S) is None
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    assert look(watch, HOUR + S - 1) is None
    found = look(watch, HOUR + S)

    assert found is not None
    assert str(path) in str(found)
    assert "restore it" in str(found)


def test_a_look_after_another_finds_what_changed_between(
    files: dict[Path, str],
) -> None:
    watch = ModelWatch(files, HOUR)
    assert look(watch, 0) is None
    assert look(watch, HOUR) is None
    next(iter(files)).write_bytes(b"cut")

    assert look(watch, 2 * HOUR - 1) is None
    assert look(watch, 2 * HOUR) is not None


def test_a_missing_and_an_unreadable_file_are_told_apart(
    files: dict[Path, str],
) -> None:
    path = next(iter(files))
    path.unlink()
    missing, unreadable = ModelWatch(files, S), ModelWatch(files, S)
    look(missing, 0), look(unreadable, 0)
    assert isinstance(look(missing, S), ModelMissingError)

    path.mkdir()
    found = look(unreadable, S)

    assert found is not None
    assert not isinstance(found, ModelMissingError)
    assert "cannot be read" in str(found)


def test_one_turn_reads_one_slice(
    files: dict[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_watch, "_SLICE_BYTES", 10)
    watch = ModelWatch(files, S)
    watch.turn(0)
    next(iter(files)).write_bytes(b"x" * 28)

    turns = [watch.turn(S) for _ in range(4)]

    assert turns[:3] == [None] * 3
    assert turns[3] is not None


def test_a_model_without_files_is_never_complained_of() -> None:
    watch = ModelWatch({}, S)

    assert [look(watch, number * S) for number in range(5)] == [None] * 5
