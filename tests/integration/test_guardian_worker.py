"""The Guardian worker and its client over the real socket."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.errors import (
    DriverUnreachableError,
    PolicyError,
    PolicyTimeoutError,
)
from cell.drivers.clock import MonotonicClock
from policies.guardian_client import GuardianWorkerClient
from policies.runtime.guardian_network import load_guardian
from policies.runtime.guardian_wire import (
    GUARDIAN_SOCKET,
    GuardianGreeting,
    attempt_message,
    parse_attempt,
    parse_greeting,
)
from policies.runtime.guardian_worker import GuardianWorker, Judge
from tests.fakes.guardian_models import make_features, write_guardian

DIGEST = "d" * 64
READY = GuardianGreeting(ready=True, model="tiny-1", sha256=DIGEST)


class ScriptedJudge:
    """Says what it was told to, after a while."""

    def __init__(self, next_success: float = 0.9, think_s: float = 0.0) -> None:
        self.next_success, self.think_s = next_success, think_s

    def judge(self, features: AttemptFeatures, stamp_ns: int) -> AttemptJudgement:
        time.sleep(self.think_s)
        return AttemptJudgement(
            attempt=features.attempt,
            stamp_ns=stamp_ns,
            success=0.9,
            silent_failure=0.01,
            next_success=self.next_success,
            troubles=(0.1, math.nan),
            novelty=1.0,
        )


class FailingJudge:
    """Cannot answer."""

    def judge(self, features: AttemptFeatures, stamp_ns: int) -> AttemptJudgement:
        raise PolicyError(f"no idea of attempt {features.attempt} at {stamp_ns}")


@contextmanager
def serving(
    runtime: Path, judge: Judge | None, greeting: GuardianGreeting = READY
) -> Iterator[None]:
    worker = GuardianWorker(judge, greeting, runtime / GUARDIAN_SOCKET)
    stop = threading.Event()
    thread = threading.Thread(target=worker.serve, args=(stop.is_set, lambda: None))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        worker.close()


@asynccontextmanager
async def connected(
    runtime: Path,
    *,
    sha256: str = DIGEST,
    deadline_s: float = 5.0,
    is_ready: bool = True,
) -> AsyncIterator[GuardianWorkerClient]:
    client = GuardianWorkerClient(
        runtime / GUARDIAN_SOCKET, sha256, deadline_s, MonotonicClock()
    )
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.run())
        if is_ready:
            await wait_until_ready(client)
        try:
            yield client
        finally:
            reading.cancel()


async def wait_until_ready(client: GuardianWorkerClient) -> None:
    async with asyncio.timeout(10.0):
        while not client.is_ready():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_an_attempt_goes_there_and_an_answer_comes_back(
    runtime_directory: Path, tmp_path: Path
) -> None:
    network = load_guardian(write_guardian(tmp_path / "guardian"))
    greeting = replace(READY, sha256=network.sha256)
    good, slipping = make_features(1), make_features(2, lift_slip_m=0.004)
    with serving(runtime_directory, network, greeting):
        async with connected(runtime_directory, sha256=network.sha256) as client:
            answers = [await client.judge(good), await client.judge(slipping)]

    assert [answer.attempt for answer in answers] == [1, 2]
    assert answers[0].next_success == pytest.approx(network.judge(good, 0).next_success)
    assert answers[1].next_success < 0.5 < answers[0].next_success
    assert 0 < answers[0].stamp_ns <= time.monotonic_ns()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_what_is_no_number_arrives_as_none(
    runtime_directory: Path, value: float
) -> None:
    with serving(runtime_directory, ScriptedJudge(value)):
        async with connected(runtime_directory) as client:
            said = await client.judge(make_features(7, score=value))

    assert math.isnan(said.next_success)
    assert math.isnan(said.troubles[1])
    assert said.success == 0.9


async def test_a_failure_to_answer_is_an_error(runtime_directory: Path) -> None:
    with serving(runtime_directory, FailingJudge()):
        async with connected(runtime_directory) as client:
            with pytest.raises(PolicyError, match="no idea of attempt 3"):
                await client.judge(make_features(3))


async def test_silence_costs_the_deadline_and_a_late_answer_is_dropped(
    runtime_directory: Path,
) -> None:
    with serving(runtime_directory, ScriptedJudge(think_s=0.3)):
        async with connected(runtime_directory, deadline_s=0.05) as client:
            with pytest.raises(PolicyTimeoutError):
                await client.judge(make_features(1))
            await asyncio.sleep(0.4)
            assert client.is_ready()


async def test_death_is_noticed_at_once_and_the_next_life_found_again(
    runtime_directory: Path,
) -> None:
    async with connected(runtime_directory, is_ready=False) as client:
        assert not client.is_ready()
        with pytest.raises(DriverUnreachableError):
            await client.judge(make_features(1))
        for number in range(2):
            with serving(runtime_directory, ScriptedJudge()):
                await wait_until_ready(client)
                assert (await client.judge(make_features(number))).attempt == number
            async with asyncio.timeout(5.0):
                while client.is_ready():  # noqa: ASYNC110
                    await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "greeting",
    [
        GuardianGreeting(ready=False, error="calibration: Field required"),
        replace(READY, sha256="e" * 64),
    ],
)
async def test_a_network_that_is_not_the_one_asked_for_is_none(
    runtime_directory: Path, greeting: GuardianGreeting
) -> None:
    with serving(runtime_directory, None, greeting):
        async with connected(runtime_directory, is_ready=False) as client:
            await asyncio.sleep(0.2)
            assert not client.is_ready()
            with pytest.raises(DriverUnreachableError):
                await client.judge(make_features(1))


async def test_nonsense_on_the_socket_harms_only_its_sender(
    runtime_directory: Path,
) -> None:
    with serving(runtime_directory, ScriptedJudge()):
        async with connected(runtime_directory) as client:
            path = str(runtime_directory / GUARDIAN_SOCKET)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"\xff" * 64)
            await writer.drain()
            while await reader.read(4096):
                pass
            writer.close()

            assert (await client.judge(make_features(5))).attempt == 5


@pytest.mark.parametrize(
    "change", [{"attempt": 1.5}, {"features": {}}, {"features": None}, {"stamp_ns": ""}]
)
def test_a_malformed_attempt_is_refused(change: dict[str, object]) -> None:
    message = attempt_message(make_features(1)) | change

    with pytest.raises(PolicyError, match="bad attempt"):
        parse_attempt(message)


def test_what_is_no_greeting_is_refused() -> None:
    with pytest.raises(PolicyError, match="greeting lacks"):
        parse_greeting({"ready": True})
