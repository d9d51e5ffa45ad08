"""Which modalities may be used, by what they show and when."""

import dataclasses

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.observation import Modality, RgbdFrame
from policies.runtime.validity import (
    FROZEN_AFTER,
    ValidityWatch,
    find_reading_flaw,
)
from policies.runtime.worker import make_observation
from tests.fakes.grasp_models import make_frame
from tests.unit.policies.test_image_checks import make_color, make_depth

S = 1_000_000_000
STANDS = "it does not change any more"


def make_picture(number: int, *, content: int | None = None) -> RgbdFrame:
    seed = number if content is None else content
    return dataclasses.replace(
        make_frame([], stamp_ns=number),
        rgb=make_color(seed),
        depth_m=make_depth(seed),
    )


def test_a_good_picture_has_no_flaw_however_often() -> None:
    watch = ValidityWatch()

    assert [watch.find_flaws(make_picture(n)) for n in range(1, 6)] == [{}] * 5


def test_colour_and_depth_are_judged_apart() -> None:
    dark = dataclasses.replace(make_picture(1), rgb=np.zeros((240, 320, 3), np.uint8))
    covered = dataclasses.replace(
        make_picture(2), depth_m=np.zeros((240, 320), np.float32)
    )
    watch = ValidityWatch()

    assert watch.find_flaws(dark).keys() == {Modality.RGB}
    assert watch.find_flaws(covered).keys() == {Modality.DEPTH}


def test_what_blinds_the_colour_image_spoils_depth_as_well() -> None:
    blinded = dataclasses.replace(
        make_picture(1), rgb=np.full((240, 320, 3), 255, np.uint8)
    )

    flaws = ValidityWatch().find_flaws(blinded)

    assert flaws.keys() == {Modality.RGB, Modality.DEPTH}
    assert "overexposed" in flaws[Modality.DEPTH]


def test_equal_pictures_of_different_moments_are_those_of_a_frozen_camera() -> None:
    watch = ValidityWatch()

    found = [watch.find_flaws(make_picture(n, content=7)) for n in range(1, 6)]

    both = {Modality.RGB: STANDS, Modality.DEPTH: STANDS}
    assert found == [{}] * (FROZEN_AFTER - 1) + [both] * 3


def test_a_picture_that_moves_again_is_good_again() -> None:
    watch = ValidityWatch()
    for number in range(1, 6):
        watch.find_flaws(make_picture(number, content=7))

    assert watch.find_flaws(make_picture(6)) == {}


def test_the_same_picture_asked_about_again_is_not_frozen() -> None:
    watch = ValidityWatch()

    assert [watch.find_flaws(make_picture(1)) for _ in range(9)] == [{}] * 9


def test_a_frozen_picture_asked_about_again_stays_frozen() -> None:
    watch = ValidityWatch()
    for number in range(1, FROZEN_AFTER + 1):
        watch.find_flaws(make_picture(number, content=7))

    assert watch.find_flaws(make_picture(FROZEN_AFTER, content=7)) != {}


def test_a_camera_that_does_not_know_its_place_shows_no_depth() -> None:
    nowhere = Pose(np.full(3, np.nan), np.full(4, np.nan))
    frame = dataclasses.replace(make_picture(1), base_from_camera=nowhere)

    assert Modality.DEPTH in ValidityWatch().find_flaws(frame)


def test_the_mask_of_an_observation_leaves_out_what_has_a_flaw_or_no_sensor() -> None:
    seen = make_observation(make_picture(1), {Modality.RGB: "it is dark"})

    assert seen.valid == {Modality.RGB: False, Modality.DEPTH: True}
    assert seen.flaws == {Modality.RGB: "it is dark"}
    assert not seen.valid.get(Modality.TACTILE, False)
    assert seen.imu is None
    assert seen.tactile is None


@pytest.mark.parametrize(
    ("values", "age_s", "phrase"),
    [
        (np.zeros(6), 0.0, ""),
        (np.zeros(6), 0.1, ""),
        (None, 0.0, "there is no sensor"),
        (np.zeros(0), 0.0, "there is no sensor"),
        (np.array([0.0, np.nan]), 0.0, "it is not finite"),
        (np.array([np.inf]), 0.0, "it is not finite"),
        (np.zeros(6), 0.1 + 1e-9, "it is 0.100 s old"),
        (np.zeros(6), -1e-9, "it is -0.000 s old"),
    ],
)
def test_a_reading_is_used_when_it_is_there_finite_and_fresh(
    values: np.ndarray | None, age_s: float, phrase: str
) -> None:
    now_ns = 5 * S

    found = find_reading_flaw(values, now_ns - round(age_s * 1e9), now_ns, 0.1)

    assert found == phrase
