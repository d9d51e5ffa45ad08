"""The tests of one target: collected once by pytest, run again in forked children."""

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest

from tests.mutation.instrument import SWITCH, Mutant
from tests.mutation.trial import Outcome, Status, try_in_child

# Without plugins that cost time or shuffle, and without the conftest, whose checks for
# leaks cost more than these tests.
ARGUMENTS = (
    *("-q", "-s", "--noconftest", "--timeout=0"),
    *("-p", "no:randomly", "-p", "no:xdist"),
    *("-p", "no:cacheprovider", "-p", "no:faulthandler"),
    # By default pytest rewrites, and so takes for itself, whatever ends in _test.py.
    *("-o", "python_files=test_*.py"),
    # Everything is imported before the forks.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
_SHORTEST_LIMIT_S = 2.0
_TIMES_THE_SUITE = 10.0


class BaselineError(Exception):
    """A test fails with nothing changed."""


@dataclass
class Measured:
    """One test, where it goes and what it costs.

    Attributes:
        item: pytest's own.
        lines: lines of the target that it runs.
        seconds: processor time.
        kills: mutants it has killed, by their function.
    """

    item: pytest.Item
    lines: set[int]
    seconds: float
    kills: Counter[str] = field(default_factory=Counter)


class FirstFailure:
    """Plugin that remembers which test failed first."""

    def __init__(self) -> None:
        self.nodeid = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.nodeid:
            self.nodeid = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.nodeid:
            self.nodeid = report.nodeid or "collection"


class ForkServer(FirstFailure):
    """Plugin that takes over the running of tests: one fork for each mutant."""

    def __init__(
        self,
        module: str,
        path: str,
        mutants: Sequence[Mutant],
        tell: Callable[[Mutant, Outcome], None],
    ) -> None:
        super().__init__()
        self._module = module
        self._path = path
        self._mutants = mutants
        self._tell = tell
        self.is_complete = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        tests = self._measure(session.items)
        gc.collect()
        gc.freeze()  # so that no child copies what it only counts
        for mutant in self._mutants:
            self._tell(mutant, self._try(mutant, tests))
        self.is_complete = True
        return True

    def _measure(self, items: Sequence[pytest.Item]) -> list[Measured]:
        tests = []
        for item in items:
            self._run(item)  # machine code and caches come into being
            started_s = time.process_time()
            self._run(item)
            seconds = time.process_time() - started_s
            tests.append(Measured(item, self._trace(item), seconds))
            if self.nodeid:
                raise BaselineError(f"{self.nodeid} fails with nothing changed")
        return tests

    def _try(self, mutant: Mutant, tests: Sequence[Measured]) -> Outcome:
        place = set(range(mutant.first_line, mutant.last_line + 1))
        reaching = [test for test in tests if test.lines & place]
        if not reaching:
            return Outcome(Status.UNREACHED, "")
        # First what has noticed changes nearby, then what is quick.
        reaching.sort(key=lambda test: (-test.kills[mutant.function], test.seconds))

        def run() -> str:
            sys.modules[self._module].__dict__[SWITCH] = mutant.number
            for test in reaching:
                self._run(test.item)
                if self.nodeid:
                    break
            return self.nodeid

        suite_s = sum(test.seconds for test in reaching)
        limit_s = max(_SHORTEST_LIMIT_S, _TIMES_THE_SUITE * suite_s)
        outcome = try_in_child(run, limit_s)
        for test in reaching:
            if test.item.nodeid == outcome.message:
                test.kills[mutant.function] += 1
        return outcome

    def _run(self, item: pytest.Item) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def _trace(self, item: pytest.Item) -> set[int]:
        """Run a test and return the lines of the target that it goes through."""
        lines: set[int] = set()

        def follow(frame: FrameType, event: str, argument: Any) -> Any:
            if frame.f_code.co_filename != self._path:
                return None
            lines.add(frame.f_lineno)
            return follow

        sys.settrace(follow)
        try:
            self._run(item)
        finally:
            sys.settrace(None)
        return lines


def run_afresh(tests: Sequence[str]) -> str:
    """Collect and run tests to the first failure; return its name or nothing."""
    first = FirstFailure()
    status = pytest.main([*ARGUMENTS, "-x", *tests], plugins=[first])
    if status == pytest.ExitCode.OK:
        return ""
    return first.nodeid or f"pytest ended with {status}"


def silence() -> int:
    """Send what tests print nowhere; return where standard output used to go."""
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return kept
