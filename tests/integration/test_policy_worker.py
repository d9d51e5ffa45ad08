"""Worker and client over the real socket, with a tiny network."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from time import monotonic_ns

import pytest

from cell.contracts.errors import (
    DriverUnreachableError,
    ModelError,
    PolicyError,
    PolicyTimeoutError,
)
from cell.contracts.observation import Abstain, ActionChunk, RgbdFrame
from cell.drivers.clock import MonotonicClock
from cell.mailbox.frames import FrameRing, FrameSource, frame_ring_path
from policies.client import PolicyWorkerClient
from policies.config import PolicyConfig
from policies.runtime.loading import load_policies, make_stand_in
from policies.runtime.wire import SOCKET_NAME
from policies.runtime.worker import PolicyWorker
from tests.fakes.grasp_models import make_frame, make_workspace, write_model

PART = (0.03, 0.0, 0.05, 0.05, 0.05)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_model(tmp_path / "models" / "tiny")
    return tmp_path / "models"


@pytest.fixture
def ring(runtime_directory: Path) -> Iterator[FrameRing]:
    path = frame_ring_path(runtime_directory, "overhead")
    ring = FrameRing.open(path, 240, 320)
    yield ring
    ring.close()


@contextmanager
def running_worker(
    runtime: Path, models: Path, frame_wait_s: float = 0.3, live: str = "tiny"
) -> Iterator[None]:
    config = PolicyConfig(live=live, minimum_score=0.3)
    policies = load_policies(config, models, make_workspace())
    with closing(FrameSource(frame_ring_path(runtime, "overhead"))) as frames:
        path = runtime / SOCKET_NAME
        with serving(PolicyWorker(policies, frames, path, frame_wait_s)):
            yield


@contextmanager
def serving(
    worker: PolicyWorker, turn: Callable[[], None] = lambda: None
) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=worker.serve, args=(stop.is_set, turn))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        worker.close()


@asynccontextmanager
async def connected(
    runtime: Path, deadline_s: float = 5.0
) -> AsyncIterator[PolicyWorkerClient]:
    client = PolicyWorkerClient(runtime / SOCKET_NAME, deadline_s, MonotonicClock())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.run())
        await wait_for(client, is_connected=True)
        try:
            yield client
        finally:
            reading.cancel()


@asynccontextmanager
async def connected_to_nothing(runtime: Path) -> AsyncIterator[PolicyWorkerClient]:
    client = PolicyWorkerClient(runtime / SOCKET_NAME, 1.0, MonotonicClock())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.run())
        await asyncio.sleep(0.05)
        try:
            yield client
        finally:
            reading.cancel()


async def wait_for(client: PolicyWorkerClient, *, is_connected: bool) -> None:
    async with asyncio.timeout(10.0):
        while (client.readiness() is not None) != is_connected:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def forget_learned(client: PolicyWorkerClient) -> None:
    """Wait for the greeting of a worker without a learned model; it stays ready."""
    async with asyncio.timeout(10.0):
        while client.has_learned():
            assert client.is_ready()
            await asyncio.sleep(0.002)


async def test_live_and_fallback_policy_answer_with_chunks(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([PART], stamp_ns=500))
    with running_worker(runtime_directory, models):
        async with connected(runtime_directory) as client:
            live = await client.propose(fallback=False, min_frame_stamp_ns=400)
            scripted = await client.propose(fallback=True, min_frame_stamp_ns=400)
            running = client.model_sha256()

    assert isinstance(live.answer, ActionChunk)
    assert live.answer.model == "tiny-1"
    assert live.answer.observed_stamp_ns == 500
    assert live.milliseconds > 0
    assert scripted.answer.model == "scripted-1"
    assert len(running) == 64
    assert live.model_sha256 == scripted.model_sha256 == running


async def test_a_worker_that_is_not_there_runs_nothing(
    runtime_directory: Path, models: Path
) -> None:
    with running_worker(runtime_directory, models):
        async with connected(runtime_directory) as client:
            assert client.has_learned()
    async with connected_to_nothing(runtime_directory) as client:
        assert not client.has_learned()
        assert client.model_sha256() == ""


async def test_the_greeting_names_the_model_and_its_digest(
    runtime_directory: Path, models: Path
) -> None:
    with running_worker(runtime_directory, models):
        async with connected(runtime_directory) as client:
            readiness = client.readiness()
            assert client.is_ready()
            assert client.model_name() == "tiny-1"

    assert readiness is not None
    assert len(readiness.sha256) == 64
    assert readiness.fallback == "scripted-1"


async def test_an_empty_bin_is_reported_as_empty(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([], stamp_ns=500))
    with running_worker(runtime_directory, models):
        async with connected(runtime_directory) as client:
            timed = await client.propose(fallback=False, min_frame_stamp_ns=0)

    assert isinstance(timed.answer, Abstain)
    assert timed.answer.is_bin_empty


async def test_a_request_waits_for_a_frame_that_is_young_enough(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([], stamp_ns=500))
    with running_worker(runtime_directory, models, frame_wait_s=10.0):
        async with connected(runtime_directory, 10.0) as client:
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(
                    client.propose(fallback=False, min_frame_stamp_ns=600)
                )
                await asyncio.sleep(0.05)
                assert not asking.done()
                ring.write(make_frame([PART], stamp_ns=700))
            timed = asking.result()

    assert timed.answer.observed_stamp_ns == 700


async def test_no_fresh_frame_is_an_error_not_an_empty_bin(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([], stamp_ns=500))
    with running_worker(runtime_directory, models, frame_wait_s=0.02):
        async with connected(runtime_directory) as client:
            with pytest.raises(PolicyError, match="the newest is too old"):
                await client.propose(fallback=False, min_frame_stamp_ns=monotonic_ns())


async def test_without_any_camera_the_error_says_so(
    runtime_directory: Path, models: Path
) -> None:
    with running_worker(runtime_directory, models, frame_wait_s=0.02):
        async with connected(runtime_directory) as client:
            with pytest.raises(PolicyError, match="none arrived yet"):
                await client.propose(fallback=True, min_frame_stamp_ns=0)


async def test_the_fallback_stands_in_for_a_broken_model_and_says_so(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    (models / "tiny" / "model.onnx").write_bytes(b"half")
    ring.write(make_frame([PART], stamp_ns=500))
    with running_worker(runtime_directory, models):
        async with connected(runtime_directory) as client:
            readiness = client.readiness()
            timed = await client.propose(fallback=False, min_frame_stamp_ns=0)
            assert client.is_ready()
            assert client.model_name() == "scripted-1"

    assert readiness is not None
    assert "model.onnx" in readiness.error
    assert timed.answer.model == "scripted-1"


async def test_the_client_finds_a_restarted_worker_again(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([PART], stamp_ns=500))
    client = PolicyWorkerClient(runtime_directory / SOCKET_NAME, 5.0, MonotonicClock())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.run())
        with pytest.raises(DriverUnreachableError):
            await client.propose(fallback=False, min_frame_stamp_ns=0)
        for _ in range(2):
            with running_worker(runtime_directory, models):
                await wait_for(client, is_connected=True)
                timed = await client.propose(fallback=False, min_frame_stamp_ns=0)
                assert isinstance(timed.answer, ActionChunk)
            await wait_for(client, is_connected=False)
            assert not client.is_ready()
        reading.cancel()


async def test_a_silent_worker_costs_the_deadline_and_its_late_answer_is_dropped(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([PART], stamp_ns=500))
    with running_worker(runtime_directory, models, frame_wait_s=10.0):
        async with connected(runtime_directory, deadline_s=0.05) as client:
            with pytest.raises(PolicyTimeoutError):
                await client.propose(fallback=False, min_frame_stamp_ns=600)
            ring.write(make_frame([PART], stamp_ns=700))
        async with connected(runtime_directory) as other:
            timed = await other.propose(fallback=False, min_frame_stamp_ns=600)

    assert timed.answer.observed_stamp_ns == 700


async def test_nonsense_on_the_socket_harms_only_its_sender(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([PART], stamp_ns=500))
    with running_worker(runtime_directory, models):
        async with connected(runtime_directory) as client:
            path = str(runtime_directory / SOCKET_NAME)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"\xff" * 64)
            await writer.drain()
            while await reader.read(4096):
                pass
            writer.close()
            timed = await client.propose(fallback=False, min_frame_stamp_ns=0)

    assert isinstance(timed.answer, ActionChunk)


async def test_an_answer_on_an_older_frame_is_not_used(
    runtime_directory: Path, models: Path
) -> None:
    class EagerFrames:
        """A frame source that promises a newer frame than it gives."""

        def read_newest(self) -> RgbdFrame | None:
            return make_frame([PART], stamp_ns=500)

        def newest_stamp_ns(self) -> int:
            return 700

    config = PolicyConfig(live="tiny", minimum_score=0.3)
    policies = load_policies(config, models, make_workspace())
    path = runtime_directory / SOCKET_NAME
    with serving(PolicyWorker(policies, EagerFrames(), path, 0.3)):
        async with connected(runtime_directory) as client:
            with pytest.raises(PolicyError, match="older frame than asked"):
                await client.propose(fallback=False, min_frame_stamp_ns=600)


async def test_a_model_that_may_not_be_used_any_more_is_replaced_while_it_runs(
    runtime_directory: Path, models: Path, ring: FrameRing
) -> None:
    ring.write(make_frame([PART], stamp_ns=500))
    policies = load_policies(PolicyConfig(live="tiny"), models, make_workspace())
    stand_in = make_stand_in(ModelError("a bit flipped"), "tiny", policies.fallback)
    is_due = threading.Event()

    def turn() -> None:
        if is_due.is_set():
            is_due.clear()
            worker.replace_policies(stand_in)

    with closing(FrameSource(frame_ring_path(runtime_directory, "overhead"))) as frames:
        worker = PolicyWorker(policies, frames, runtime_directory / SOCKET_NAME, 0.3)
        with serving(worker, turn):
            async with connected(runtime_directory) as client:
                assert client.has_learned()
                is_due.set()
                await forget_learned(client)
                answered = await client.propose(fallback=False, min_frame_stamp_ns=400)

                assert not client.has_learned()

    assert isinstance(answered.answer, ActionChunk)
    assert answered.answer.model == "scripted-1"
    assert stand_in.complaint is not None
    assert "a bit flipped; scripted-1 picks in place of tiny" in stand_in.complaint.text


async def test_a_question_that_waits_while_the_model_is_replaced_is_answered(
    runtime_directory: Path, models: Path
) -> None:
    class LateFrames:
        """A picture that comes as soon as the policies were replaced."""

        is_asked, is_there = threading.Event(), False

        def read_newest(self) -> RgbdFrame | None:
            return make_frame([PART], stamp_ns=500)

        def newest_stamp_ns(self) -> int:
            self.is_asked.set()
            return 500 if self.is_there else 0

    policies = load_policies(PolicyConfig(live="tiny"), models, make_workspace())
    stand_in = make_stand_in(ModelError("a bit flipped"), "tiny", policies.fallback)
    frames = LateFrames()

    def turn() -> None:
        if frames.is_asked.is_set() and not frames.is_there:
            worker.replace_policies(stand_in)
            frames.is_there = True

    worker = PolicyWorker(policies, frames, runtime_directory / SOCKET_NAME, 5.0)
    with serving(worker, turn):
        async with connected(runtime_directory) as client:
            learned = client.model_sha256()
            answered = await client.propose(fallback=False, min_frame_stamp_ns=400)

            assert client.is_ready()
            assert not client.has_learned()

    assert isinstance(answered.answer, ActionChunk)
    assert answered.answer.model == "scripted-1"
    # It is not taken for one of the model that ran when the question was asked.
    assert learned != answered.model_sha256 == ""
