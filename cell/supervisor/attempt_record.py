"""Turns what the supervisor sees of one attempt into numbers for the Guardian. Pure.

Samples come at the supervisor's own pace, 50 Hz: the tool force of the servo process's
state and the opening that the gripper reports. Simulated attempts are measured by this
very code, so that a network meets the same numbers in the cell as in training.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np

from cell.contracts.attempt import AttemptFeatures
from cell.contracts.geometry import Vector
from cell.contracts.observation import ActionChunk

SAMPLE_PERIOD_S: Final = 0.02
# The tool hangs freely at the pregrasp, and nearly so at the end of a lift.
_QUIET_SAMPLES: Final = 5


class AttemptPhase(IntEnum):
    """Where in an attempt a sample was taken."""

    APPROACH = 0
    CLOSING = 1
    LIFT = 2
    TRANSFER = 3


class AttemptRecord:
    """The samples of one attempt."""

    def __init__(
        self, attempt: int, chosen: ActionChunk, others: Sequence[ActionChunk] = ()
    ) -> None:
        """Begin with the proposal that is carried out.

        Args:
            attempt: its number.
            chosen: the proposal.
            others: what the policy would have proposed in its place, in any order;
                those that it believes in more are ignored.
        """
        self._attempt = attempt
        self.claim(chosen, others)
        self._forces: dict[AttemptPhase, list[Vector]] = {p: [] for p in AttemptPhase}
        self._apertures: dict[AttemptPhase, list[float]] = {p: [] for p in AttemptPhase}

    def claim(self, chosen: ActionChunk, others: Sequence[ActionChunk] = ()) -> None:
        """Say whose attempt this is; in shadow that is known later than its start.

        Args:
            chosen: the proposal for the grasp that is carried out.
            others: what the same policy would have proposed in its place.
        """
        self._chosen = chosen
        self._others = sorted(
            (other.score for other in others if other.score <= chosen.score),
            reverse=True,
        )

    def note(self, phase: AttemptPhase, force_tcp_n: Vector, aperture_m: float) -> None:
        """Take one sample.

        Args:
            phase: of the attempt.
            force_tcp_n: tool force in base axes, shape (6,) or (3,) [N].
            aperture_m: opening of the fingers [m].
        """
        self._forces[phase].append(np.array(force_tcp_n[:3], dtype=np.float64))
        self._apertures[phase].append(float(aperture_m))

    def finish(self, stamp_ns: int) -> AttemptFeatures:
        """Return the attempt in numbers; what it never came to is 0."""
        approach = self._stack(AttemptPhase.APPROACH)
        closing = self._stack(AttemptPhase.CLOSING)
        lift = self._stack(AttemptPhase.LIFT)
        transfer = self._stack(AttemptPhase.TRANSFER)
        free = _mean(approach[:_QUIET_SAMPLES])
        lifted = _mean(lift[-_QUIET_SAMPLES:])
        carried = _mean(transfer[-_QUIET_SAMPLES:])
        shares = np.array([self._chosen.score, *self._others])
        details = self._chosen.details
        return AttemptFeatures(
            attempt=self._attempt,
            stamp_ns=stamp_ns,
            score=self._chosen.score,
            score_entropy_nat=_entropy_nat(shares),
            runner_up_ratio=_ratio(shares),
            alternatives=float(len(self._others)),
            aperture_m=self._chosen.steps[-1].aperture_m,
            width_m=details.get("width_m", 0.0),
            grasp_height_m=details.get("tip_m", 0.0),
            grip_m=self._last(AttemptPhase.CLOSING),
            approach_force_n=_largest(approach[_QUIET_SAMPLES:] - free),
            closing_force_n=_largest((closing - free)[:, :2]),
            lift_slip_m=self._slip(AttemptPhase.CLOSING, AttemptPhase.LIFT),
            transfer_slip_m=self._slip(AttemptPhase.LIFT, AttemptPhase.TRANSFER),
            weight_n=float(free[2] - lifted[2]) if len(lift) else 0.0,
            weight_change_n=float(lifted[2] - carried[2]) if len(transfer) else 0.0,
            vibration_n=float(np.std(transfer[:, 2])) if len(transfer) else 0.0,
        )

    def _stack(self, phase: AttemptPhase) -> Vector:
        return np.array(self._forces[phase], dtype=np.float64).reshape(-1, 3)

    def _last(self, phase: AttemptPhase) -> float:
        row = self._apertures[phase]
        return row[-1] if row else 0.0

    def _slip(self, before: AttemptPhase, during: AttemptPhase) -> float:
        """Return how far the fingers closed beyond where they were, 0 or more [m]."""
        row = self._apertures[during]
        return max(0.0, self._last(before) - min(row)) if row else 0.0


def _mean(rows: Vector) -> Vector:
    return np.asarray(rows.mean(axis=0)) if len(rows) else np.zeros(3)


def _largest(rows: Vector) -> float:
    """Return the largest length of any row."""
    return float(np.linalg.norm(rows, axis=1).max()) if len(rows) else 0.0


def _entropy_nat(shares: Vector) -> float:
    total = float(shares.sum())
    if not total > 0.0:
        return 0.0
    ratios = shares[shares > 0.0] / total
    return float(-(ratios * np.log(ratios)).sum())


def _ratio(scores: Vector) -> float:
    if len(scores) < 2 or not scores[0] > 0.0:
        return 0.0
    return float(scores[1] / scores[0])
