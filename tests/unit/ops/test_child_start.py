"""What children print is kept, within bounds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.child_process import NAME
from tests.fakes.host_bench import HostBench, open_host_bench

LINE = "child: broke for want of memory\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HostBench]:
    with open_host_bench(tmp_path) as made:
        yield made


def start_and_end(bench: HostBench) -> None:
    process = bench.child_start.start(bench.spec)
    process.kill()
    process.wait()


def test_output_that_grew_for_months_keeps_its_last_words(bench: HostBench) -> None:
    output = bench.child_start.find_output(NAME)
    output.write_text(LINE * (1_100_000 // len(LINE)) + "child: the last words\n")
    with output.open("a") as other:  # a process of the same name that lives
        start_and_end(bench)
        after = output.stat().st_size

        other.write("a line of its own\n")

    text = output.read_text()
    assert 10_000 < after < 100_000
    assert "child: the last words\n" in text
    assert text.endswith("a line of its own\n")
    assert "\0" not in text


def test_output_of_a_usual_size_is_kept_whole(bench: HostBench) -> None:
    output = bench.child_start.find_output(NAME)
    output.write_text(LINE * 1000)

    start_and_end(bench)

    assert output.read_text().startswith(LINE * 1000)
