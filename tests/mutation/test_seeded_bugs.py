"""The tests of the guard find every mistake that is planted in it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.seeded import SEEDS, Seed, SeedError, plant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def outcomes(repository: Path) -> dict[str, dict[str, str]]:
    halves = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.seeded", start, "2"],
            cwd=repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for start in ("0", "1")
    ]
    records: list[dict[str, str]] = []
    for half in halves:
        written, complaints = half.communicate()
        assert half.returncode == 0, complaints[-4000:]
        records += [json.loads(line) for line in written.splitlines()]
    return {record["name"]: record for record in records}


def test_every_planted_mistake_is_found(outcomes: dict[str, dict[str, str]]) -> None:
    found = {"killed", "timeout"}
    missed = [
        name for name, record in outcomes.items() if record["status"] not in found
    ]

    assert missed == []
    assert set(outcomes) == {seed.name for seed in SEEDS}


def test_they_are_found_by_tests_and_not_by_broken_imports(
    outcomes: dict[str, dict[str, str]],
) -> None:
    strange = {
        name: record["by"]
        for name, record in outcomes.items()
        if record["status"] == "killed" and "::" not in record["by"]
    }

    assert strange == {}


def test_there_are_at_least_thirty_of_them() -> None:
    assert len({seed.name for seed in SEEDS}) == len(SEEDS) >= 30


@pytest.mark.parametrize("source", ["a = 1", "a = 2; a = 2"])
def test_a_mistake_that_does_not_fit_the_source_is_not_planted(source: Any) -> None:
    seed = Seed("two is three", "module", "a = 2", "a = 3")

    with pytest.raises(SeedError, match="change the seed"):
        plant(seed, source)
