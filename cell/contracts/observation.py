"""What a policy sees and what it answers."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose, Vector


class Modality(StrEnum):
    """The inputs an observation can carry."""

    RGB = "rgb"
    DEPTH = "depth"
    PROPRIOCEPTION = "proprioception"
    WRENCH = "wrench"
    INSTRUCTION = "instruction"
    IMU = "imu"
    TACTILE = "tactile"


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole model of a rectified image.

    Attributes:
        width_px: image width.
        height_px: image height.
        fx_px: focal length along x.
        fy_px: focal length along y.
        cx_px: principal point x, measured from the centre of the first pixel.
        cy_px: principal point y.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float


@dataclass(frozen=True, eq=False)
class RgbdFrame:
    """One aligned colour and depth pair.

    Attributes:
        camera: name of the camera in the configuration.
        stamp_ns: our monotonic clock at arrival.
        number: counts up for every new pair.
        rgb: shape (height, width, 3), uint8.
        depth_m: distance along the optical axis, shape (height, width), float32 [m];
            0 where the sensor gave nothing.
        intrinsics: of both images (depth is aligned to colour).
        base_from_camera: optical frame (z forward, x right, y down) in base.
    """

    camera: str
    stamp_ns: int
    number: int
    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    intrinsics: Intrinsics
    base_from_camera: Pose


@dataclass(frozen=True, eq=False)
class Observation:
    """Everything a policy may look at, with a validity mask and a stamp for each.

    Attributes:
        stamp_ns: monotonic clock when the observation was put together.
        frames: newest frame of each camera, by camera name.
        q: joint positions, shape (6,) [rad].
        base_from_tcp: tool pose.
        aperture_m: finger opening [m].
        force_tcp_n: tool force, shape (6,) [N, N.m].
        instruction: what to pick, empty when anything will do.
        imu: angular rate and acceleration at the tool, shape (6,) [rad/s, m/s2]; None
            where no sensor is fitted.
        tactile: pressure on the pads, as the sensor gives it; None likewise.
        valid: whether each modality may be used; an absent key means it may not.
        modality_stamps_ns: monotonic clock of each modality's newest content.
        flaws: why a modality that was there may not be used, for a person.
    """

    stamp_ns: int
    frames: dict[str, RgbdFrame]
    q: Vector
    base_from_tcp: Pose
    aperture_m: float
    force_tcp_n: Vector
    instruction: str = ""
    imu: Vector | None = None
    tactile: NDArray[np.float32] | None = None
    valid: dict[Modality, bool] = field(default_factory=dict)
    modality_stamps_ns: dict[Modality, int] = field(default_factory=dict)
    flaws: dict[Modality, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ActionStep:
    """One step of a chunk: where the tool goes and how far the fingers open.

    Attributes:
        base_from_tcp: tool pose, tool z along the approach.
        aperture_m: finger opening during the approach to this pose [m].
    """

    base_from_tcp: Pose
    aperture_m: float


@dataclass(frozen=True, eq=False)
class ActionChunk:
    """What a policy wants done, in order, before it is asked again.

    A grasp policy answers with two steps: pregrasp, then grasp. The fingers close
    at the last step.

    Attributes:
        observed_stamp_ns: stamp of the observation it was computed from.
        steps: at least one.
        score: the policy's own probability of success, 0..1.
        model: name and version of what produced it.
        alternatives: further chunks in falling order of score.
        details: numbers for the record, by name with its unit (`aperture_m`).
    """

    observed_stamp_ns: int
    steps: tuple[ActionStep, ...]
    score: float
    model: str
    alternatives: tuple["ActionChunk", ...] = ()
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Abstain:
    """A policy's statement that it sees nothing worth trying.

    Attributes:
        observed_stamp_ns: stamp of the observation it was computed from.
        reason: one short phrase for a person.
        model: name and version of what produced it.
        is_bin_empty: the policy saw an empty bin rather than a hopeless one.
        is_blind: it could not see the bin, which may hold anything.
        novelty: how unlike the training inputs the picture is; 0 when nobody judged.
        novelty_limit: what it may be; beyond that the policy does not answer.
    """

    observed_stamp_ns: int
    reason: str
    model: str
    is_bin_empty: bool = False
    is_blind: bool = False
    novelty: float = 0.0
    novelty_limit: float = 0.0

    @property
    def is_novel(self) -> bool:
        """It is not answered because it is unlike the training inputs."""
        return self.novelty > self.novelty_limit > 0.0
