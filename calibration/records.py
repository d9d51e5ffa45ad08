"""Where a camera sits, as a calibration found it: typed, dated, with its residuals."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from cell.contracts.model import Section

_Coordinate = Annotated[float, Field(ge=-5.0, le=5.0)]
_Angle = Annotated[float, Field(ge=-2 * math.pi, le=2 * math.pi)]


class ExtrinsicsRecord(Section):
    """The pose of one camera, in base when it is fixed, in flange when it is carried.

    Attributes:
        version: of this format.
        camera: its name in the configuration.
        parent: frame that the pose is given in.
        position_m: origin of the optical frame in the parent.
        rotvec_rad: orientation of the optical frame there.
        residual_m: root mean square of the position residuals.
        residual_rad: root mean square of the orientation residuals.
        samples: views that were used.
        solved_at: when, with a time zone.
        valid_days: age at which it has to be renewed.
    """

    version: Literal[1] = 1
    camera: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,15}$")]
    parent: Literal["base", "flange"]
    position_m: tuple[_Coordinate, _Coordinate, _Coordinate]
    rotvec_rad: tuple[_Angle, _Angle, _Angle]
    residual_m: Annotated[float, Field(ge=0.0, le=0.1)]
    residual_rad: Annotated[float, Field(ge=0.0, le=0.5)]
    samples: Annotated[int, Field(ge=3)]
    solved_at: AwareDatetime
    valid_days: Annotated[float, Field(gt=0.0, le=3650.0)] = 90.0

    @model_validator(mode="after")
    def _rotation_is_at_most_one_turn(self) -> Self:
        if math.hypot(*self.rotvec_rad) > 2 * math.pi:
            raise ValueError("rotvec_rad is longer than one turn: is it in degrees?")
        return self

    def parent_from_camera(self) -> Pose:
        """Return the pose of the optical frame in the parent."""
        return Pose.from_rotvec(self.position_m, self.rotvec_rad)

    def is_valid_at(self, now: datetime) -> bool:
        """Return whether it is neither from the future nor too old; UTC-aware `now`."""
        age = now - self.solved_at
        return timedelta(0) <= age <= timedelta(days=self.valid_days)


def write_extrinsics(record: ExtrinsicsRecord, path: Path) -> None:
    """Write a record as JSON, in one step."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def read_extrinsics(path: Path) -> ExtrinsicsRecord:
    """Read a record.

    Raises:
        ConfigError: it is missing or not a record; the message names the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return ExtrinsicsRecord.model_validate_json(text, strict=True)
    except OSError as error:
        raise ConfigError(
            f"calibration {path} cannot be read ({error.strerror}): calibrate again"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"calibration {path}: {key}: {first['msg']}; calibrate again"
        ) from error
