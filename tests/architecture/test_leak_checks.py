"""The checks that watch over every test catch what they are there for."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.loans import lend_address, lend_port

LEAKING = """
import asyncio, signal, socket, subprocess, sys, threading, time

import pytest

EVENT = threading.Event()

async def test_that_leaves_a_task():
    test_that_leaves_a_task.kept = asyncio.create_task(asyncio.sleep(60), name="stray")

def test_that_leaves_a_process():
    test_that_leaves_a_process.kept = subprocess.Popen(["sleep", "@SLEEP@"])

def test_that_leaves_a_thread():
    threading.Thread(target=EVENT.wait, args=(20,), name="forgotten").start()

def test_that_ends_the_thread_of_the_one_before():
    EVENT.set()

def test_that_leaves_the_machine():
    with socket.socket() as outward, pytest.raises(OSError, match="stay on loopback"):
        outward.connect(("192.0.2.1", 80))
"""


def test_a_test_that_leaves_something_behind_fails(
    tmp_path: Path, repository: Path
) -> None:
    # A name of our own, for another suite may run beside this one.
    stray = ["sleep", f"61.{os.getpid()}"]
    path = tmp_path / "test_leaking.py"
    path.write_text(LEAKING.replace("@SLEEP@", stray[1]))
    options = (
        *("-p", "tests.conftest", "-p", "no:randomly", "-p", "no:cacheprovider"),
        *("-q", "--rootdir", str(tmp_path), "-o", "asyncio_mode=auto"),
    )

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )

    # Each fails after its own body was good, hence "error".
    assert "5 passed, 3 errors" in ended.stdout, ended.stdout + ended.stderr
    assert "left tasks running: ['stray']" in ended.stdout
    assert f"left child processes: ['{' '.join(stray)}']" in ended.stdout
    assert "left threads running: ['forgotten']" in ended.stdout
    running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert stray not in running


def test_what_is_lent_to_one_process_is_lent_to_no_other(repository: Path) -> None:
    code = (
        "from tests.loans import lend_address, lend_port\n"
        "with lend_address() as address:\n"
        "    print(address, *(lend_port() for _ in range(50)))\n"
    )
    with lend_address() as address:
        ports = {str(lend_port()) for _ in range(50)}
        other = subprocess.run(
            [sys.executable, "-c", code],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    assert other[0] != address
    assert len(ports) == 50
    assert not ports.intersection(other[1:])
