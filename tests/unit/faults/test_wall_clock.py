"""A process with a wall clock of its own: it jumps, and nothing else does."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim2real.faults import wall_clock
from sim2real.faults.scenario import MissingAidError
from sim2real.faults.wall_clock import WallClock, compile_clock

TELL = "import time; print(time.time(), time.monotonic())"


def tell(environment: dict[str, str]) -> tuple[float, float]:
    command = [sys.executable, "-c", TELL]
    output = subprocess.check_output(command, env={**os.environ, **environment})
    wall_s, monotonic_s = output.split()
    return float(wall_s), float(monotonic_s)


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("offset_s", [0, 3600, -3600])
def test_the_wall_clock_alone_is_another_one(tmp_path: Path, offset_s: int) -> None:
    clock = WallClock()
    environment = dict(clock.make_environment(tmp_path))
    clock.set_offset(offset_s)

    wall_s, monotonic_s = tell(environment)

    assert abs(wall_s - time.time() - offset_s) < 60.0
    assert 0.0 <= time.monotonic() - monotonic_s < 60.0


def test_without_a_compiler_the_row_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wall_clock, "_COMPILERS", ("no-such-compiler",))

    with pytest.raises(MissingAidError, match="C compiler"):
        compile_clock(tmp_path)
