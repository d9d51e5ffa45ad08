"""One process of a campaign: tries some mutants of one target.

Reads a task as JSON from standard input, writes one JSON line for each mutant. What
takes effect while the module is imported, and what no test has noticed, is tried again
in a process that has imported neither the module nor its tests.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis
import hypothesis.extra.numpy  # imported once, before every fork
import mujoco  # noqa: F401
import numba  # noqa: F401
import numpy as np  # noqa: F401
import pydantic  # noqa: F401
import pytest

from tests.mutation.instrument import Instrumented, Mutant, instrument
from tests.mutation.loader import Substitute, find_source, leave_uncompiled
from tests.mutation.suite import ARGUMENTS, ForkServer, run_afresh, silence
from tests.mutation.targets import find_target
from tests.mutation.trial import Outcome, Status, try_in_child

_SHORTEST_LIMIT_S = 30.0
_TIMES_THE_BASELINE = 10.0
_LONGEST_BASELINE_S = 300.0


class WorkerError(Exception):
    """The tests cannot be used: they fail with nothing changed."""


def prepare() -> None:
    """Import what every child needs, and nothing of what is mutated."""
    leave_uncompiled()
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, max_examples=20
    )
    hypothesis.settings.load_profile("mutation")


def load_instrumented(module: str) -> Instrumented:
    """Read a target and build its mutants in."""
    path = find_source(module)
    return instrument(module, path.read_text(), str(path))


def try_afresh(
    substitute: Substitute,
    tests: Sequence[str],
    cpu_limit_s: float = _SHORTEST_LIMIT_S,
) -> Outcome:
    """Run tests in a child that imports everything with the substitute in place."""

    def run() -> str:
        substitute.install()
        return run_afresh(tests)

    return try_in_child(run, cpu_limit_s)


class FreshTrials:
    """Tries mutants in processes of their own, once it is known that nothing fails.

    Without that, broken tests would kill every mutant.
    """

    def __init__(self, woven: Instrumented, tests: Sequence[str]) -> None:
        self._woven = woven
        self._tests = tests
        self._cpu_limit_s = 0.0

    def try_one(self, number: int) -> Outcome:
        """Try one mutant.

        Raises:
            WorkerError: the tests fail with nothing changed.
        """
        if not self._cpu_limit_s:
            self._try_baseline(_LONGEST_BASELINE_S)
        outcome = self._try(number, self._cpu_limit_s)
        if outcome.status is Status.KILLED and "::" in outcome.message:
            return outcome
        # No test says what is wrong: was it the mutant, or are the tests broken by now?
        if outcome.status is not Status.SURVIVED:
            self._try_baseline(self._cpu_limit_s)
        return outcome

    def _try_baseline(self, cpu_limit_s: float) -> None:
        outcome = self._try(0, cpu_limit_s)
        if outcome.status is not Status.SURVIVED:
            what = outcome.message or outcome.status
            raise WorkerError(f"{what} in a fresh process with nothing changed")
        # A machine that is busy with something else takes longer for the same work.
        self._cpu_limit_s = max(
            _SHORTEST_LIMIT_S, _TIMES_THE_BASELINE * outcome.cpu_s, self._cpu_limit_s
        )

    def _try(self, number: int, cpu_limit_s: float) -> Outcome:
        return try_afresh(_substitute(self._woven, number), self._tests, cpu_limit_s)


def try_mutants(
    woven: Instrumented, numbers: Sequence[int], tests: Sequence[str]
) -> Iterator[tuple[int, Outcome]]:
    """Yield what became of each mutant.

    Raises:
        WorkerError: the tests fail with nothing changed.
    """
    chosen = set(numbers)
    wanted = [mutant for mutant in woven.mutants if mutant.number in chosen]
    late = [mutant for mutant in wanted if not mutant.is_early]
    fresh = FreshTrials(woven, tests)
    for number, outcome in _try_late(woven, late, tests):
        if outcome.status in (Status.KILLED, Status.TIMEOUT):
            yield number, outcome
            continue
        again = fresh.try_one(number)
        # Whether it was reached is known from the first trial alone.
        yield number, outcome if again.status is Status.SURVIVED else again
    for mutant in wanted:
        if mutant.is_early:
            yield mutant.number, fresh.try_one(mutant.number)


def _substitute(woven: Instrumented, number: int) -> Substitute:
    return Substitute(woven.module, woven.path, woven.code, number)


def _try_late(
    woven: Instrumented, mutants: Sequence[Mutant], tests: Sequence[str]
) -> Iterator[tuple[int, Outcome]]:
    """Try what takes effect at run time, from a child that has imported all of it."""
    if not mutants:
        return

    def serve(write: Callable[[object], None]) -> None:
        def tell(mutant: Mutant, outcome: Outcome) -> None:
            write([mutant.number, outcome.status, outcome.message])

        _substitute(woven, 0).install()
        server = ForkServer(woven.module, woven.path, mutants, tell)

        pytest.main([*ARGUMENTS, *tests], plugins=[server])
        if not server.is_complete:
            write(f"{server.nodeid or 'collection'} fails with nothing changed")

    for answer in _read_server(serve):
        if isinstance(answer, str):
            raise WorkerError(answer)
        number, name, message = answer
        yield number, Outcome(Status(name), message)


def _read_server(
    serve: Callable[[Callable[[object], None]], None],
) -> Iterator[Any]:
    """Yield what a forked process writes, object by object."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _end_server(serve, writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        for line in pipe:
            yield json.loads(line)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        yield "the fork server ended early"


def _end_server(serve: Callable[[Callable[[object], None]], None], writer: int) -> None:
    code = 1
    try:
        with os.fdopen(writer, "w") as pipe:

            def write(answer: object) -> None:
                print(json.dumps(answer), file=pipe, flush=True)

            try:
                serve(write)
                code = 0
            except BaseException as error:  # noqa: BLE001  (nothing leaves the child)
                write(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def main() -> None:
    """Carry out the task on standard input."""
    task = json.load(sys.stdin)
    answers = os.fdopen(silence(), "w")
    target = find_target(task["module"])
    prepare()
    with contextlib.suppress(BrokenPipeError):
        try:
            woven = load_instrumented(target.module)
            for number, outcome in try_mutants(woven, task["numbers"], target.tests):
                record = {
                    "number": number,
                    "status": outcome.status,
                    "by": outcome.message,
                }
                print(json.dumps(record), file=answers, flush=True)
        except WorkerError as error:
            print(json.dumps({"error": str(error)}), file=answers, flush=True)


if __name__ == "__main__":
    main()
