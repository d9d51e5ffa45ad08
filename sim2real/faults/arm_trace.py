"""What the arm was commanded to do and did, over a stretch of time.

Recorded from the shared memory between the virtual robot controller and the physics,
by a thread of its own, so that no moment between a signal and the end of a test goes
unseen. The judging is pure.
"""

import itertools
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cell.mailbox.seqlock import Mailbox
from sim2real.virtual_cell.links import JOINT_STATE, JOINT_TARGET

REST_RADPS = 0.02
"""Joint speed below which the arm counts as commanded to rest."""

CREEP_RAD = 0.002
"""Joint travel that counts as motion, however slow, and whatever speed was claimed."""

SETTLED_RADPS = 0.1
"""Joint speed of the simulated arm itself below which it stands but for its swing."""

_SILENCE_NS = 50_000_000
"""Without orders for so long, the next one is the first of a new controller."""

_PERIOD_S = 0.001


@dataclass(frozen=True)
class Sample:
    """One new record.

    Attributes:
        seen_ns: monotonic clock when it was seen to be new.
        q: joint positions, shape (6,) [rad].
        speed_radps: of the fastest joint, as the record claims.
    """

    seen_ns: int
    q: NDArray[np.float64]
    speed_radps: float


class ArmRecorder:
    """Context manager; records targets and measured states while it is open.

    Attributes:
        targets: what the robot controller ordered.
        states: what the simulated joints did.
    """

    def __init__(self, runtime: Path) -> None:
        self.targets: list[Sample] = []
        self.states: list[Sample] = []
        self._ends = threading.Event()
        self._sources = (
            (Mailbox.open(runtime / "vc_joint_target", JOINT_TARGET), self.targets),
            (Mailbox.open(runtime / "vc_joint_state", JOINT_STATE), self.states),
        )
        self._thread = threading.Thread(target=self._record, name="arm-recorder")

    def __enter__(self) -> "ArmRecorder":
        """Begin; the first sample of each is what stands there now."""
        for mailbox, samples in self._sources:
            _look(mailbox, samples)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ends.set()
        self._thread.join()
        for mailbox, _samples in self._sources:
            mailbox.close()

    def _record(self) -> None:
        versions = [0, 0]
        while not self._ends.wait(_PERIOD_S):
            for number, (mailbox, samples) in enumerate(self._sources):
                version = mailbox.version()
                if version != versions[number]:
                    versions[number] = version
                    _look(mailbox, samples)


def _look(mailbox: Mailbox, samples: list[Sample]) -> None:
    record = mailbox.read()
    if record is not None:
        speed = float(np.max(np.abs(record["qd"])))
        samples.append(Sample(time.monotonic_ns(), np.array(record["q"]), speed))


def is_moving(samples: list[Sample], now_ns: int) -> bool:
    """Say whether the newest sample at a moment was one of motion."""
    before = [sample for sample in samples if sample.seen_ns <= now_ns]
    return bool(before) and before[-1].speed_radps > REST_RADPS


def find_last_motion(
    samples: list[Sample],
    from_ns: int,
    until_ns: int,
    rest_radps: float = REST_RADPS,
    states: list[Sample] | None = None,
) -> int | None:
    """Return when the arm moved last within a stretch, None when it stood.

    Motion is a new position at more than the speed of rest, or a position further
    from where the stretch ended than rest allows.

    Args:
        samples: orders or states.
        from_ns: begin of the stretch, monotonic clock [ns].
        until_ns: its end [ns].
        rest_radps: joint speed below which the arm rests [rad/s].
        states: where the joints were, for orders: a controller that begins anew takes
            the place where they stand for its first order, and moves nothing by it.
    """
    within = [s for s in samples if from_ns <= s.seen_ns <= until_ns]
    earlier = [s for s in samples if s.seen_ns < from_ns]
    if not within:
        return None
    q_end = within[-1].q
    last_ns = None
    before = earlier[-1] if earlier else within[0]
    for sample in within:
        is_new = bool(np.any(sample.q != before.q))
        is_fast = is_new and sample.speed_radps > rest_radps
        is_away = float(np.max(np.abs(before.q - q_end))) > CREEP_RAD and is_new
        if (is_fast or is_away) and not _is_beginning(before, sample, states or []):
            last_ns = sample.seen_ns
        before = sample
    return last_ns


def _is_beginning(before: Sample, sample: Sample, states: list[Sample]) -> bool:
    """Say whether an order is the first after a silence and lies where the arm stands.

    The arm has to have stood there since before the order.
    """
    if sample.seen_ns - before.seen_ns < _SILENCE_NS or sample.speed_radps > REST_RADPS:
        return False
    since_ns = sample.seen_ns - _SILENCE_NS // 2
    places = [s.q for s in states if since_ns <= s.seen_ns <= sample.seen_ns]
    return bool(places) and all(
        float(np.max(np.abs(q - sample.q))) <= CREEP_RAD for q in places
    )


def find_first_motion(samples: list[Sample], from_ns: int, until_ns: int) -> int | None:
    """Return when the arm first moved within a stretch, None when it stood."""
    within = [s for s in samples if from_ns <= s.seen_ns <= until_ns]
    for before, sample in itertools.pairwise(within):
        is_new = bool(np.any(sample.q != before.q))
        is_fast = is_new and sample.speed_radps > REST_RADPS
        is_away = float(np.max(np.abs(sample.q - within[0].q))) > CREEP_RAD
        if is_fast or is_away:
            return sample.seen_ns
    return None
