"""The gripper's socket, used by the vendor client's own C++ class."""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.virtual_ur import REPOSITORY, running_virtual_ur

# The class has no binding, so it is reached by its compiler's symbol names, and how an
# object is passed differs on other machines. A wheel without the library fails here.
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        platform.machine() != "x86_64",
        reason="the symbols are those of the wheel for x86-64",
    ),
]

PART_AT = 150
STOPPED_CLOSING, AT_POSITION = 2, 3
# The virtual gripper says that it arrived within this many counts.
TOLERANCE = 2


def use(host: str) -> tuple[dict[str, Any], str]:
    """Return what the class read, and what it printed meanwhile."""
    used = subprocess.run(
        [sys.executable, "-m", "tests.fakes.robotiq_class", host],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    seen: dict[str, Any] = json.loads(used.stdout.splitlines()[-1])
    return seen, used.stdout


def test_the_class_activates_moves_calibrates_and_reads_many_values(
    tmp_path: Path,
) -> None:
    with running_virtual_ur(tmp_path, "--plant", "ideal") as robot:
        seen, printed = use(robot.host)

    assert seen["active_at_first"]
    assert not seen["active_after_reset"]
    assert seen["active"]
    assert seen["half"] == [AT_POSITION, pytest.approx(127, abs=TOLERANCE)]
    assert seen["closed"] == [AT_POSITION, pytest.approx(255, abs=TOLERANCE)]
    assert seen["open"] == [AT_POSITION, pytest.approx(0, abs=TOLERANCE)]
    low, high = seen["range"]
    assert low <= TOLERANCE
    assert high >= 255 - TOLERANCE
    assert seen["fault"] == 0
    dump = printed.rpartition("Many values in one request:")[2]
    values = dict(re.findall(r"^([A-Z]{3}): (\d+)$", dump, re.MULTILINE))
    assert set(values) >= {"ACT", "GTO", "FOR", "SPE", "POS", "STA", "PRE", "OBJ"}
    assert (values["ACT"], values["STA"]) == ("1", "3")


def test_the_class_finds_a_part_between_the_fingers(tmp_path: Path) -> None:
    options = ("--plant", "ideal", "--ideal-part-at", str(PART_AT / 255))
    with running_virtual_ur(tmp_path, *options) as robot:
        seen, _ = use(robot.host)

    assert seen["closed"] == [STOPPED_CLOSING, pytest.approx(PART_AT, abs=TOLERANCE)]
    assert seen["object"] == STOPPED_CLOSING
    assert seen["open"][0] == AT_POSITION
