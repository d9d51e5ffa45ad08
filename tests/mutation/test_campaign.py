"""The runner itself: what is killed, what hangs, what survives, what is kept."""

import ast
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import __main__ as command
from tests.mutation import campaign, worker
from tests.mutation.campaign import CampaignError, Journal, Result, run_campaign
from tests.mutation.equivalents import Equivalent, read_equivalents
from tests.mutation.imports import find_imported
from tests.mutation.instrument import Mutant, instrument
from tests.mutation.targets import TARGETS, find_target
from tests.mutation.trial import Outcome, Status, try_in_child
from tests.mutation.worker import FreshTrials, WorkerError

SOURCE = """
BOUND = 4

def count(limit):
    total = 0
    while total < limit:
        total += 1
    return total

def clamp(value):
    if value >= BOUND:
        return BOUND
    return value

def never():
    return 1 + 1
"""

TESTS = """
from subject_test import clamp, count

def test_count():
    assert count(3) == 3

def test_clamp():
    assert clamp(9) == 4
    assert clamp(-1) == -1
"""

RUN = """
import json, sys
from tests.mutation.instrument import instrument
from tests.mutation.worker import try_mutants

woven = instrument("subject_test", open(sys.argv[1]).read(), sys.argv[1])
numbers = [mutant.number for mutant in woven.mutants]
keys = {mutant.number: mutant.key for mutant in woven.mutants}
for number, outcome in try_mutants(woven, numbers, sys.argv[2:]):
    print("@", json.dumps([keys[number], outcome.status, outcome.message]), flush=True)
"""


@pytest.fixture(scope="module")
def statuses(tmp_path_factory: Any, repository: Path) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("subject")
    # A name that pytest takes for one of its own if nobody tells it otherwise.
    (folder / "subject_test.py").write_text(SOURCE)
    (folder / "test_subject.py").write_text(TESTS)
    ended = subprocess.run(
        [
            *(sys.executable, "-c", RUN),
            *(str(folder / "subject_test.py"), str(folder / "test_subject.py")),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    records = [
        json.loads(line.partition("@ ")[2])
        for line in ended.stdout.splitlines()
        if "@ [" in line
    ]
    return {key: [status, by] for key, status, by in records}


def status_of(statuses: dict[str, list[str]], change: str) -> list[str]:
    (found,) = (value for key, value in statuses.items() if change in key)
    return found


def test_a_mutant_that_a_test_notices_is_killed_by_it(statuses: Any) -> None:
    status, by = status_of(statuses, "[comparison] value >= BOUND -> value <= BOUND")

    assert status == "killed"
    assert by.endswith("test_subject.py::test_clamp")


def test_an_endless_loop_is_ended_and_counts_as_noticed(statuses: Any) -> None:
    change = "[arithmetic] total += 1 -> total -= 1"

    assert status_of(statuses, change)[0] == "timeout"


def test_a_mutant_that_changes_nothing_tested_survives(statuses: Any) -> None:
    change = "[boundary] value >= BOUND -> value > BOUND"

    assert status_of(statuses, change)[0] == "survived"


def test_what_no_test_runs_is_unreached(statuses: Any) -> None:
    assert status_of(statuses, "1 + 1 -> 1 - 1")[0] == "unreached"


def test_what_takes_effect_at_import_is_tried_in_a_fresh_process(statuses: Any) -> None:
    assert status_of(statuses, "(module) [constant] 4 -> 5")[0] == "killed"


def try_subject(
    repository: Path, folder: Path, tests: str, kind: str
) -> subprocess.CompletedProcess[str]:
    """Try the early or the late mutants with tests of our own."""
    (folder / "subject_test.py").write_text(SOURCE)
    (folder / "test_subject.py").write_text(tests)
    run = RUN.replace(
        "for mutant in woven.mutants]", f"for mutant in woven.mutants{kind}]"
    )
    return subprocess.run(
        [
            *(sys.executable, "-c", run),
            *(str(folder / "subject_test.py"), str(folder / "test_subject.py")),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )


BROKEN = (
    TESTS
    + """
def test_broken():
    assert clamp(9) == 5
"""
)

# Passes in the process that has collected it, and fails in every later one.
BROKEN_AFRESH = (
    TESTS
    + """
import os, pathlib
BEGUN = pathlib.Path(__file__).with_name("begun")

if BEGUN.exists():
    raise ImportError("not again")
BEGUN.touch()
"""
)


@pytest.mark.parametrize("tests", [BROKEN, "import nothing_of_this_name\n"])
@pytest.mark.parametrize("kind", [" if mutant.is_early", " if not mutant.is_early"])
def test_tests_that_fail_with_nothing_changed_kill_no_mutant(
    tmp_path: Path, repository: Path, tests: Any, kind: Any
) -> None:
    ended = try_subject(repository, tmp_path, tests, kind)

    assert ended.returncode != 0
    assert "@ [" not in ended.stdout
    assert "WorkerError" in ended.stderr
    assert "with nothing changed" in ended.stderr


def test_a_late_survivor_is_not_killed_by_tests_that_do_not_start_afresh(
    tmp_path: Path, repository: Path
) -> None:
    ended = try_subject(
        repository, tmp_path, BROKEN_AFRESH, " if '1 + 1' in mutant.before"
    )

    assert ended.returncode != 0
    assert '"killed"' not in ended.stdout
    assert "in a fresh process with nothing changed" in ended.stderr


class Fresh:
    """Stands in for the processes; answers for the module as it was, and changed."""

    def __init__(self, monkeypatch: Any, baselines: Any, mutants: Any) -> None:
        self.limits: list[float] = []
        self.numbers: list[int] = []
        self._answers = {True: list(baselines), False: list(mutants)}
        monkeypatch.setattr(worker, "try_afresh", self._try)

    def _try(self, substitute: Any, tests: Any, cpu_limit_s: float) -> Outcome:
        self.limits.append(cpu_limit_s)
        self.numbers.append(substitute._number)
        answer: Outcome = self._answers[substitute._number == 0].pop(0)
        return answer


FINE = Outcome(Status.SURVIVED, "", 9.0)
BY_TEST = Outcome(Status.KILLED, "file.py::test")
BY_IMPORT = Outcome(Status.KILLED, "file.py")
HUNG = Outcome(Status.TIMEOUT, "")


def fresh_trials() -> FreshTrials:
    return FreshTrials(instrument("subject", SOURCE, "subject.py"), ["file.py"])


def test_the_limit_of_a_fresh_process_is_that_of_its_tests(monkeypatch: Any) -> None:
    fresh = Fresh(monkeypatch, [FINE], [BY_TEST, BY_TEST])
    trials = fresh_trials()

    assert trials.try_one(3) is trials.try_one(4) is BY_TEST
    assert fresh.numbers == [0, 3, 4]
    assert fresh.limits[1:] == [90.0, 90.0]
    Fresh(monkeypatch, [Outcome(Status.SURVIVED, "", 0.1)], [BY_TEST])
    assert fresh_trials().try_one(3) is BY_TEST


@pytest.mark.parametrize("outcome", [BY_IMPORT, HUNG])
def test_what_no_test_tells_of_is_believed_if_nothing_else_is_broken(
    monkeypatch: Any, outcome: Any
) -> None:
    Fresh(monkeypatch, [FINE, FINE], [outcome])
    assert fresh_trials().try_one(3) is outcome

    Fresh(monkeypatch, [FINE, BY_IMPORT], [outcome])
    with pytest.raises(WorkerError, match="with nothing changed"):
        fresh_trials().try_one(3)


@pytest.mark.parametrize("outcome", [BY_TEST, BY_IMPORT, HUNG])
def test_nothing_is_tried_afresh_before_the_module_as_it_was(
    monkeypatch: Any, outcome: Any
) -> None:
    fresh = Fresh(monkeypatch, [outcome], [])

    with pytest.raises(WorkerError, match="with nothing changed"):
        fresh_trials().try_one(3)
    assert fresh.numbers == [0]


def test_a_child_that_dies_or_says_nothing_counts_as_it_ended() -> None:
    def die() -> str:
        raise SystemExit(0)

    assert try_in_child(lambda: "", 5.0).status is Status.SURVIVED
    assert try_in_child(lambda: "a test", 5.0).message == "a test"
    assert try_in_child(die, 5.0).status is Status.KILLED


def test_a_child_tells_what_it_took() -> None:
    def work() -> str:
        while time.process_time() - started_s < 0.2:
            pass
        return ""

    started_s = time.process_time()

    assert try_in_child(work, 5.0).cpu_s >= 0.15


# --- campaigns -----------------------------------------------------------------------


def list_mutants() -> list[Mutant]:
    return list(instrument("subject", SOURCE, "subject.py").mutants)


class Workers:
    """Stands in for the processes; answers `killed`, and survivors where told."""

    def __init__(self, survivors: Sequence[int] = (), fail_after: int = 999) -> None:
        self.asked: list[int] = []
        self._survivors = survivors
        self._left = fail_after

    def run(self, module: str, numbers: Sequence[int]) -> Any:
        for number in numbers:
            if self._left == 0:
                raise CampaignError("interrupted")
            self._left -= 1
            self.asked.append(number)
            status = "survived" if number in self._survivors else "killed"
            yield {"number": number, "status": status, "by": "a test"}


def test_an_interrupted_campaign_goes_on_where_it_stopped(
    monkeypatch: Any, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    first, second = Workers(fail_after=5), Workers()
    monkeypatch.setattr(campaign, "_run_worker", first.run)
    with pytest.raises(CampaignError):
        run_campaign(list_mutants(), 1, journal, lambda result: None)
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"key": "torn')
    told: list[Result] = []

    monkeypatch.setattr(campaign, "_run_worker", second.run)
    run_campaign(list_mutants(), 1, journal, told.append)

    assert len(first.asked) == 5
    assert not set(first.asked) & set(second.asked)
    assert len(told) == len(list_mutants())


def test_the_digest_changes_with_the_tests(monkeypatch: Any, tmp_path: Path) -> None:
    test = tmp_path / TARGETS[0].tests[0]
    test.parent.mkdir(parents=True)
    monkeypatch.setattr(campaign, "ROOT", tmp_path)
    digests = set()
    for text in ("a", "b"):
        for name in TARGETS[0].tests:
            (tmp_path / name).write_text(text)
        digests.add(campaign.compute_digest(TARGETS[:1]))

    assert len(digests) == 2


@pytest.mark.parametrize(
    "file",
    [
        "tests/mutation/suite.py",
        "tests/oracle/swift_check.py",
        "tests/oracle/plain.py",
        "tests/stress/adversary_zones.py",
        "tests/fakes/motion_oracle.py",
        "safety/envelope.py",
        "cell/kinematics/kernels.py",
        "cell/contracts/servo.py",
        "pyproject.toml",
    ],
)
def test_the_digest_changes_with_whatever_results_depend_on(
    monkeypatch: Any, repository: Path, file: Any
) -> None:
    before = campaign.compute_digest(TARGETS)
    changed = repository / file
    read = Path.read_bytes

    def read_changed(path: Path) -> bytes:
        return read(path) + (b"#" if path == changed else b"")

    monkeypatch.setattr(Path, "read_bytes", read_changed)

    assert campaign.compute_digest(TARGETS) != before


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    sources = {
        "test_it.py": "import os\nimport pack.one\nfrom numpy import array\n",
        "pack/__init__.py": "",
        "pack/one.py": "def f():\n    from pack import two\n    from .three import x\n",
        "pack/two.py": "from pack.inner.four import name\n",
        "pack/three.py": "",
        "pack/inner/four.py": "import test_it\n",
        "pack/other.py": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    found = find_imported([tmp_path / "test_it.py"], tmp_path)

    names = {str(path.relative_to(tmp_path)) for path in found}
    # Imports without a package before them are not used in this project.
    assert names == set(sources) - {"pack/three.py", "pack/other.py"}


def results(survivors: Sequence[int]) -> list[Result]:
    return [
        Result(m, Status.SURVIVED if m.number in survivors else Status.KILLED, "")
        for m in list_mutants()
    ]


def test_a_survivor_is_reported_unless_it_is_listed() -> None:
    found = results([2, 3])
    listed = [Equivalent(found[1].mutant.key, "why")]

    unlisted = command.find_unlisted(found, listed)

    assert [result.mutant.number for result in unlisted] == [3]


def test_a_listed_mutant_that_is_noticed_or_gone_is_reported() -> None:
    found = results([2])
    keys = [found[1].mutant.key, found[4].mutant.key, "subject f [boundary] a -> b"]
    elsewhere = "another f [boundary] a -> b"
    listed = [Equivalent(key, "why") for key in (*keys, elsewhere)]

    assert command.find_outdated(found, listed) == keys[1:]


def test_the_list_of_equivalents_is_short_and_every_entry_has_a_reason(
    tmp_path: Path,
) -> None:
    file = tmp_path / "list.toml"
    entry = '[[mutant]]\nkey = "key {}"\nreason = "{}"\n'
    assert len(read_equivalents()) <= 10

    for text, phrase in (
        (entry.format(1, " "), "needs a reason"),
        (entry.format(1, "why") * 2, "twice"),
        ("".join(entry.format(n, "why") for n in range(11)), "11 mutants"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=phrase):
            read_equivalents(file)


def test_every_target_has_its_tests_in_the_checkout(repository: Path) -> None:
    for target in TARGETS:
        assert all((repository / test).is_file() for test in target.tests), target
        assert (repository / (target.module.replace(".", "/") + ".py")).is_file()
    with pytest.raises(KeyError, match="safety"):
        find_target("safety.nothing")


def holds_logic(source: str) -> bool:
    """Whether a module holds more than imports and text."""
    return not all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in ast.parse(source).body
    )


def test_every_module_of_the_guard_that_holds_logic_is_a_target(
    repository: Path,
) -> None:
    modules = {
        ".".join(path.relative_to(repository).with_suffix("").parts)
        for path in (repository / "safety").rglob("*.py")
        if holds_logic(path.read_text())
    }

    assert {"safety.timed_chunk", "safety.finger_check"} <= modules
    assert sorted(target.module for target in TARGETS) == sorted(modules)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_mutant_of_the_ramp_to_rest_is_noticed(
    repository: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "tests.mutation"),
            *("--module", "safety.ramp", "--jobs", "1", "--json", str(report)),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert json.loads(report.read_text())["mutants"] > 20
