import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from sim2real.scene.render import write_png
from tests.fakes.cell_scene import ROOT


def read_png(path: Path) -> np.ndarray:
    """Decode what `write_png` writes: one IDAT chunk, rows with filter 2."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))
    start = content.index(b"IDAT") + 4
    length = int.from_bytes(content[start - 8 : start - 4])
    rows = np.frombuffer(zlib.decompress(content[start : start + length]), np.uint8)
    rows = rows.reshape(height, 1 + 3 * width)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


def test_an_image_survives_the_way_through_a_png_file(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)

    write_png(tmp_path / "a.png", image)

    assert np.array_equal(read_png(tmp_path / "a.png"), image)


@pytest.mark.slow
def test_the_handbook_picture_shows_a_lit_cell(tmp_path: Path) -> None:
    path = tmp_path / "cell.png"

    size = ["--width", "160", "--height", "120"]
    ended = subprocess.run(
        [sys.executable, "-m", "sim2real.scene.picture", str(path), *size],
        cwd=ROOT,
        env={**os.environ, "MUJOCO_GL": "egl"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if ended.returncode != 0 and "OpenGL" in ended.stderr + ended.stdout:
        pytest.skip("no OpenGL library on this machine")

    assert ended.returncode == 0, ended.stderr
    image = read_png(path)
    assert image.shape == (120, 160, 3)
    assert 60 < image.mean() < 220
    assert image.std() > 25
