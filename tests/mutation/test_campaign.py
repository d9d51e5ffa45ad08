"""The runner itself: what is killed, what hangs, what survives, what is kept."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import __main__ as command
from tests.mutation import campaign
from tests.mutation.campaign import CampaignError, Journal, Result, run_campaign
from tests.mutation.equivalents import Equivalent, read_equivalents
from tests.mutation.instrument import Mutant, instrument
from tests.mutation.targets import TARGETS, find_target
from tests.mutation.trial import Status, try_in_child

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


def test_a_child_that_dies_or_says_nothing_counts_as_it_ended() -> None:
    def die() -> str:
        raise SystemExit(0)

    assert try_in_child(lambda: "", 5.0).status is Status.SURVIVED
    assert try_in_child(lambda: "a test", 5.0).message == "a test"
    assert try_in_child(die, 5.0).status is Status.KILLED


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
