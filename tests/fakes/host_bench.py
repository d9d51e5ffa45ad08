"""A process host with one child, for tests of both."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cell.mailbox.beats import Beats
from ops.child_start import ChildStart
from ops.host import ChildStatus, ProcessHost
from ops.process_table import ProcessSpec
from tests.fakes.child_process import NAME

FOREVER = 1_000_000
PATIENCE_S = 20.0


class HostBench:
    """One host with one child, which does what `behave` said."""

    def __init__(self, folder: Path, *, has_spare: bool) -> None:
        self.folder = folder
        self.config = folder / "child.json"
        self.beats = Beats.open(folder / "beats")
        self.behave()
        self.spec = ProcessSpec(
            *(NAME, "tests.fakes.child_process", 2.0, 0.5), has_spare=has_spare
        )
        self.child_start = ChildStart(self.config, "", folder, folder)
        self.host = ProcessHost(
            specs=[self.spec],
            child_start=self.child_start,
            now_s=time.monotonic,
            restart_limit=2,
        )

    def behave(
        self,
        beats: int = FOREVER,
        exit_code: int | None = None,
        *,
        is_deaf: bool = False,
        waits: bool = True,
    ) -> None:
        """Tell the next child what to do."""
        document = {
            "beats": beats,
            "exit_code": exit_code,
            "is_deaf": is_deaf,
            "waits": waits,
        }
        self.config.write_text(json.dumps(document))

    @property
    def child(self) -> ChildStatus:
        return self.host.statuses()[0]

    def is_beating(self) -> bool:
        return math.isfinite(self.beats.age_s(NAME, time.monotonic_ns()))

    def poll_until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, self.child
            self.host.poll()
            time.sleep(0.005)

    def start(self) -> int:
        """Start the child and return its process id once it beats."""
        self.poll_until(self.is_beating)
        assert self.child.pid is not None
        return self.child.pid


@contextmanager
def open_host_bench(folder: Path, *, has_spare: bool = False) -> Iterator[HostBench]:
    """Open a host that has not started its child yet, and end both."""
    bench = HostBench(folder, has_spare=has_spare)
    try:
        yield bench
    finally:
        bench.host.stop(time.sleep)
        bench.beats.close()
