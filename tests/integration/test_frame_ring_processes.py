"""Two processes at one frame ring, one of them killed again and again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cell.mailbox.frames import FrameSource

KILLS = 8
WRITER = """
import sys
from pathlib import Path
import numpy as np
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from cell.mailbox.frames import FrameRing
height, width = 240, 320
ring = FrameRing.open(Path(sys.argv[1]), height, width)
while True:
    n = ring.count() + 1
    ring.write(
        RgbdFrame(
            "overhead", n, n,
            np.full((height, width, 3), n % 251, np.uint8),
            np.full((height, width), n, np.float32),
            Intrinsics(width, height, float(n), float(n), 1.0, 1.0),
            Pose(np.full(3, float(n)), np.full(4, float(n))),
        )
    )
"""


@pytest.mark.slow
def test_no_frame_is_ever_torn_while_its_writer_is_killed(
    tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "ring"
    source = FrameSource(path)
    newest, whole = 0, 0
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=repository
        )
        try:
            known = newest
            give_up_s = time.monotonic() + 60
            while newest < known + 300 and time.monotonic() < give_up_s:
                frame = source.read_newest()
                if frame is None:
                    continue
                number = frame.number
                whole += 1
                assert number >= newest
                assert frame.stamp_ns == number
                assert frame.intrinsics.fx_px == number
                assert (frame.base_from_camera.quat_wxyz == number).all()
                assert (frame.rgb == number % 251).all()
                assert (frame.depth_m == np.float32(number)).all()
                newest = number
            assert newest >= known + 300
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        after = source.read_newest()
        assert after is not None
        assert after.number >= newest

    assert whole > KILLS
    source.close()
