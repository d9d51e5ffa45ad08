"""States of a cell in which grasps go worse, each at a severity of 0..1.

Every one disturbs what goes wrong in reality and nothing else: what the camera sees,
where the tool really is, what the fingers hold with, or how the network ranks. Whatever
shows in the features of an attempt has to come about by itself.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep, Observation, RgbdFrame
from cell.contracts.runtime import TensorSession
from policies.runtime.heightmap_policy import SCORE_NAME
from sim2real.scene.build import Scene

_CAMERA_OFFSET_M: Final = 0.026
_CAMERA_RISE_M: Final = 0.006
_TOOL_OFFSET_M: Final = 0.026
_MOUNT_SIGMA_M: Final = 0.016
_MOUNT_SIGMA_RAD: Final = 0.40
_FRICTION_DECADES: Final = 1.8
_TORQUE_DECADES: Final = 2.7
_WEAR_M: Final = 0.0015
_WORN_DECADES: Final = (2.2, 1.4)
_BLOTCH_PX: Final = 16
_BLUR_M: Final = 0.014
_COVERED_RATIO: Final = 0.22
_RANKING_SIGMA: Final = 7.0
_RANKING_BLOCK_PX: Final = 4


class Family(StrEnum):
    """What is wrong."""

    HEALTHY = "healthy"
    CAMERA_OFFSET = "camera moved"
    DIRTY_LENS = "dirty lens"
    POOR_RANKING = "network ranks badly"
    BENT_TOOL = "tool bent"
    LOOSE_MOUNT = "tool loose"
    SLIPPERY = "slippery parts"
    WEAK_GRIP = "weak grip"
    WORN_FINGERS = "worn fingers"


FAMILIES: Final = tuple(Family)
UNSEEN: Final = (Family.POOR_RANKING, Family.WORN_FINGERS)
"""Never shown in training: what is measured on them says how far it carries."""


@dataclass(frozen=True)
class Condition:
    """One state of the cell.

    Attributes:
        family: what is wrong.
        severity: how much, 0..1.
        angle_rad: direction of what has one.
    """

    family: Family
    severity: float
    angle_rad: float = 0.0

    def offset_m(self, length_m: float) -> NDArray[np.float64]:
        """Return a horizontal offset, shape (2,), as long as the severity says."""
        turn = np.array([np.cos(self.angle_rad), np.sin(self.angle_rad)])
        return np.asarray(self.severity * length_m * turn)


def sample_condition(family: Family, rng: np.random.Generator) -> Condition:
    """Draw a severity and a direction."""
    severity = 0.0 if family is Family.HEALTHY else float(rng.uniform(0.15, 1.0))
    return Condition(family, severity, float(rng.uniform(0.0, 2.0 * np.pi)))


def disturb_view(
    observation: Observation, condition: Condition, rng: np.random.Generator
) -> Observation:
    """Return what the policy gets to see."""
    frames = {
        name: _disturb_frame(frame, condition, rng)
        for name, frame in observation.frames.items()
    }
    return dataclasses.replace(observation, frames=frames)


def disturb_motion(
    chunk: ActionChunk, condition: Condition, rng: np.random.Generator
) -> tuple[Pose, Pose]:
    """Return where the tool really goes: pregrasp and grasp."""
    turn_rad, offset_m = 0.0, np.zeros(2)
    if condition.family is Family.BENT_TOOL:
        offset_m = condition.offset_m(_TOOL_OFFSET_M)
    elif condition.family is Family.LOOSE_MOUNT:
        offset_m = rng.normal(0.0, condition.severity * _MOUNT_SIGMA_M, 2)
        turn_rad = float(rng.normal(0.0, condition.severity * _MOUNT_SIGMA_RAD))
    real_from_meant = Pose.from_rotvec([*offset_m, 0.0], [0.0, 0.0, turn_rad])
    first, last = (_move(step, real_from_meant) for step in chunk.steps)
    return first, last


@contextmanager
def disturb_fingers(scene: Scene, condition: Condition) -> Iterator[None]:
    """Change grip force, friction and pads of a scene; put them back afterwards."""
    if scene.arm is None:
        raise ValueError("fingers are disturbed in a scene with an arm")
    model, arm, severity = scene.model, scene.arm, condition.severity
    before = (
        np.array(model.geom_friction),
        np.array(model.geom_size),
        np.array(model.actuator_forcerange),
    )
    both = np.concatenate([arm.left_pads, arm.right_pads])
    if condition.family is Family.SLIPPERY:
        model.geom_friction[both, 0] *= 10.0 ** (-severity * _FRICTION_DECADES)
    elif condition.family is Family.WEAK_GRIP:
        model.actuator_forcerange[arm.gripper_actuator] *= 10.0 ** (
            -severity * _TORQUE_DECADES
        )
    elif condition.family is Family.WORN_FINGERS:
        for pads, decades in zip(
            (arm.left_pads, arm.right_pads), _WORN_DECADES, strict=True
        ):
            model.geom_friction[pads, 0] *= 10.0 ** (-severity * decades)
        model.geom_size[both, 1] -= severity * _WEAR_M
    try:
        yield
    finally:
        model.geom_friction[:], model.geom_size[:] = before[0], before[1]
        model.actuator_forcerange[:] = before[2]


class BadlyRankingSession:
    """A network whose scores are disturbed in patches; it is as sure as ever."""

    def __init__(self, session: TensorSession) -> None:
        self.severity = 0.0
        self.rng = np.random.default_rng(0)
        self._session = session

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once, with noise on the logits of the scores."""
        outputs = dict(self._session.run(inputs))
        score = np.clip(outputs[SCORE_NAME].astype(np.float64), 1e-6, 1.0 - 1e-6)
        block = _RANKING_BLOCK_PX
        coarse = (*score.shape[:2], *(-(-size // block) for size in score.shape[2:]))
        noise = self.rng.normal(0.0, self.severity * _RANKING_SIGMA, coarse)
        patches = noise.repeat(block, axis=2).repeat(block, axis=3)
        patches = patches[:, :, : score.shape[2], : score.shape[3]]
        # Centred on where chance alone would put the best of many.
        logits = (
            np.log(score / (1.0 - score)) + patches - self.severity * _RANKING_SIGMA
        )
        outputs[SCORE_NAME] = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        return outputs


def _disturb_frame(
    frame: RgbdFrame, condition: Condition, rng: np.random.Generator
) -> RgbdFrame:
    if condition.family is Family.CAMERA_OFFSET:
        mount = frame.base_from_camera
        rise_m = condition.severity * _CAMERA_RISE_M * float(rng.choice([-1.0, 1.0]))
        offset_m = np.array([*condition.offset_m(_CAMERA_OFFSET_M), rise_m])
        moved = Pose(mount.position_m + offset_m, mount.quat_wxyz)
        return dataclasses.replace(frame, base_from_camera=moved)
    if condition.family is Family.DIRTY_LENS:
        return dataclasses.replace(
            frame, depth_m=_smear(frame.depth_m, condition.severity, rng)
        )
    return frame


def _smear(
    depth_m: NDArray[np.float32], severity: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return depth with blotches of error, and some without any depth."""
    height, width = depth_m.shape
    coarse = (-(-height // _BLOTCH_PX), -(-width // _BLOTCH_PX))
    error_m = rng.normal(0.0, severity * _BLUR_M, coarse)
    covered = rng.random(coarse) < severity * _COVERED_RATIO

    def spread(blotches: NDArray[Any]) -> NDArray[Any]:
        rows = blotches.repeat(_BLOTCH_PX, axis=0).repeat(_BLOTCH_PX, axis=1)
        return np.asarray(rows[:height, :width])

    seen = (depth_m > 0.0) & ~spread(covered)
    return np.where(seen, depth_m + spread(error_m), 0.0).astype(np.float32)


def _move(step: ActionStep, real_from_meant: Pose) -> Pose:
    return step.base_from_tcp @ real_from_meant
