"""Shared memory is taken whole with its file: a full one is a sentence, no crash."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.errors import StorageError
from cell.mailbox.beats import Beats
from cell.mailbox.frames import FrameRing
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.text import TextMailbox
from ops.exit_codes import ExitCode, compute_exit_code

MAKERS: dict[str, Callable[[Path], object]] = {
    "beats": Beats.open,
    "mailbox": lambda path: Mailbox.open(path, np.dtype("<f8")),
    "text": lambda path: TextMailbox(path, 5000),
    "ring": lambda path: FrameRing.open(path, 24, 32),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_finds_no_room_says_where_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def find_no_room(_descriptor: int, _start: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / name
    with monkeypatch.context() as context:
        context.setattr(os, "posix_fallocate", find_no_room)
        with pytest.raises(StorageError, match="No space left") as caught:
            MAKERS[name](path)

    assert str(path) in str(caught.value)
    assert "runtime.directory" in str(caught.value)
    assert compute_exit_code(caught.value) is ExitCode.STORAGE
    # Once there is room again, nothing half-made stands in the way.
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) == 0
    MAKERS[name](path)


@pytest.mark.parametrize("name", MAKERS)
def test_every_byte_has_its_memory_from_the_start(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    MAKERS[name](path)

    status = path.stat()
    assert status.st_blocks * 512 >= status.st_size > 0


FULL = """
import os, sys
from pathlib import Path
from cell.contracts.errors import StorageError
from cell.mailbox.text import TextMailbox

folder = Path(sys.argv[1])
kept = TextMailbox(folder / "kept", 20_000)
with open(folder / "flood", "wb", buffering=0) as flood:
    try:
        while True:
            flood.write(b"x" * 4096)
    except OSError:
        pass
kept.write("y" * 20_000)
kept.write("z" * 20_000)
assert kept.read() == "z" * 20_000
try:
    TextMailbox(folder / "late", 20_000)
except StorageError as error:
    print(error)
"""


def test_a_memory_file_system_that_fills_up_ends_nobody(
    repository: Path, tmp_path: Path
) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("a file system of a fixed size needs root and unshare")
    script = 'mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = [unshare, "-m", "sh", "-c", script, "sh", str(tmp_path)]
    done = subprocess.run(
        [*command, sys.executable, FULL],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")

    assert done.returncode == 0, done.stderr
    assert "there is no room for" in done.stdout
