"""The worker beside a camera that shows nothing: mask, gate and fallback."""

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.observation import (
    Abstain,
    ActionChunk,
    Modality,
    Observation,
    RgbdFrame,
)
from cell.contracts.runtime import Compensated, ModalityCompensation
from policies.config import PolicyConfig
from policies.runtime.loading import load_policies
from policies.runtime.modality_gate import ModalityGate
from policies.runtime.wire import SOCKET_NAME
from policies.runtime.worker import PolicyWorker
from tests.fakes.grasp_models import make_frame, make_workspace, write_model
from tests.integration.test_policy_worker import connected, serving

PART = (0.03, 0.0, 0.05, 0.05, 0.05)
GOOD = make_frame([PART])


class Frames:
    """Shows one picture after another, each of a new moment."""

    def __init__(self, pictures: Sequence[RgbdFrame]) -> None:
        self._pictures = list(pictures)
        self._stamp_ns = 0

    def read_newest(self) -> RgbdFrame | None:
        """Return the next picture; the last one again when there are no more."""
        self._stamp_ns += 1
        picture = (
            self._pictures.pop(0) if len(self._pictures) > 1 else self._pictures[0]
        )
        return dataclasses.replace(picture, stamp_ns=self._stamp_ns)

    def newest_stamp_ns(self) -> int:
        """Return a stamp that no answer contradicts."""
        return 1


class Memory:
    """Takes depth from what it saw before."""

    def __init__(self, confidence: float) -> None:
        self._confidence = confidence

    def compensate(
        self, observation: Observation, missing: frozenset[Modality]
    ) -> Compensated | None:
        """Put a good picture in the place of the lost one."""
        frame = dataclasses.replace(GOOD, stamp_ns=observation.stamp_ns)
        made = dataclasses.replace(
            observation, frames={"overhead": frame}, valid={Modality.DEPTH: True}
        )
        return Compensated(made, self._confidence)


def cover(frame: RgbdFrame) -> RgbdFrame:
    return dataclasses.replace(frame, depth_m=np.zeros_like(frame.depth_m))


async def ask(
    folder: Path,
    pictures: Sequence[RgbdFrame],
    turns: Sequence[bool],
    compensation: ModalityCompensation | None = None,
) -> list[ActionChunk | Abstain]:
    """Ask once for each turn, the fallback where it is true."""
    write_model(folder / "models" / "tiny")
    config = PolicyConfig(live="tiny", minimum_score=0.3)
    policies = load_policies(config, folder / "models", make_workspace())
    if compensation is not None:
        gate = ModalityGate(compensation, config.compensation_confidence)
        policies = dataclasses.replace(policies, gate=gate)
    worker = PolicyWorker(policies, Frames(pictures), folder / SOCKET_NAME, 0.3)
    with serving(worker):
        async with connected(folder) as client:
            return [
                (await client.propose(fallback=fallback, min_frame_stamp_ns=0)).answer
                for fallback in turns
            ]


@pytest.mark.parametrize("fallback", [False, True])
async def test_a_covered_camera_makes_every_policy_blind(
    tmp_path: Path, fallback: bool
) -> None:
    (answer,) = await ask(tmp_path, [cover(GOOD)], [fallback])

    assert isinstance(answer, Abstain)
    assert answer.is_blind
    assert not answer.is_bin_empty
    assert answer.reason == "no depth: only 0% of it has depth"


async def test_a_dark_colour_image_is_no_obstacle_to_policies_that_need_none(
    tmp_path: Path,
) -> None:
    (answer,) = await ask(tmp_path, [GOOD], [False])

    assert isinstance(answer, ActionChunk)


@pytest.mark.parametrize("fallback", [False, True])
async def test_a_blinded_colour_image_takes_depth_from_every_policy(
    tmp_path: Path, fallback: bool
) -> None:
    blinded = dataclasses.replace(GOOD, rgb=np.full_like(GOOD.rgb, 255))

    (answer,) = await ask(tmp_path, [blinded], [fallback])

    assert isinstance(answer, Abstain)
    assert answer.is_blind
    assert "overexposed" in answer.reason


async def test_a_picture_that_stands_still_is_used_no_more(tmp_path: Path) -> None:
    answers = await ask(tmp_path, [GOOD], [False, True, False, True])

    assert [isinstance(answer, ActionChunk) for answer in answers] == [
        True,
        True,
        False,
        False,
    ]


async def test_a_sure_compensation_lets_the_live_policy_go_on(tmp_path: Path) -> None:
    (answer,) = await ask(tmp_path, [cover(GOOD)], [False], Memory(0.9))

    assert isinstance(answer, ActionChunk)
    assert answer.model == "tiny-1"


async def test_an_unsure_one_leaves_it_to_the_fallback_on_what_is_real(
    tmp_path: Path,
) -> None:
    pictures = [cover(GOOD), GOOD]

    live, fallback = await ask(tmp_path, pictures, [False, True], Memory(0.7))

    assert isinstance(live, Abstain)
    assert live.is_blind
    assert isinstance(fallback, ActionChunk)
    assert fallback.model == "scripted-1"


async def test_the_fallback_gets_nothing_made_up_however_sure(tmp_path: Path) -> None:
    (answer,) = await ask(tmp_path, [cover(GOOD)], [True], Memory(1.0))

    assert isinstance(answer, Abstain)
    assert answer.is_blind


@pytest.mark.parametrize(("limit_s", "code"), [(0.05, -signal.SIGALRM), (30.0, 0)])
def test_the_kernel_ends_a_process_whose_answer_is_overdue(
    limit_s: float, code: int
) -> None:
    # One long product holds the interpreter: nothing in the process could end it.
    work = "7 ** (3 * 10**7)" if code else "7 ** 3"
    script = (
        "from policies.runtime.deadline import kernel_deadline\n"
        f"with kernel_deadline({limit_s}):\n    {work}\n"
    )

    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60.0)

    assert ended.returncode == code


def test_a_slower_alarm_goes_on_after_an_answer_in_time() -> None:
    script = (
        "import signal\n"
        "from policies.runtime.deadline import kernel_deadline\n"
        "signal.setitimer(signal.ITIMER_REAL, 50.0)\n"
        "with kernel_deadline(5.0):\n"
        "    inside_s, _ = signal.getitimer(signal.ITIMER_REAL)\n"
        "after_s, _ = signal.getitimer(signal.ITIMER_REAL)\n"
        "raise SystemExit(not (0 < inside_s <= 5.0 and 40.0 < after_s <= 50.0))\n"
    )

    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60.0)

    assert ended.returncode == 0
