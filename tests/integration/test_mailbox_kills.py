"""Writers that are killed at any instant never leave a mixed record behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cell.mailbox.seqlock import Mailbox

RECORD = np.dtype([("number", "<i8"), ("values", "<i8", (500,))])

WRITER = """
import sys
from pathlib import Path
import numpy as np
from cell.mailbox.seqlock import Mailbox
from tests.integration.test_mailbox_kills import RECORD
box = Mailbox.open(Path(sys.argv[1]), RECORD)
record = np.zeros((), RECORD)
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    record["number"] = number
    record["values"] = number
    box.write(record)
"""


def test_readers_see_whole_records_only_while_writers_are_killed(
    tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "box"
    reader = Mailbox.open(path, RECORD)
    seen: set[int] = set()
    for life in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(life * 10**9)],
            cwd=repository,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == b"ready\n"
            until = time.monotonic() + 0.05 + 0.003 * life
            while time.monotonic() < until:
                _check(reader, seen)
        finally:
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
        # What the dead writer left is whole as well.
        assert _check(reader, seen)
    assert len(seen) > 50


def _check(reader: Mailbox, seen: set[int]) -> bool:
    record = reader.read()
    if record is None:
        return False
    assert (record["values"] == record["number"]).all()
    seen.add(int(record["number"]))
    return True
