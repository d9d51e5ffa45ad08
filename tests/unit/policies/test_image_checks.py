"""Pictures that show nothing are told from those that do."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from policies.runtime.image_checks import (
    BLINDED_RATIO,
    COVERED_RATIO,
    MISSING_RATIO,
    SEEN_RATIO,
    find_color_flaw,
    find_depth_flaw,
    find_shared_flaw,
    is_dark,
)

HEIGHT, WIDTH = 240, 320
CAMERA_HEIGHT_M = 0.85


def make_color(seed: int = 0) -> NDArray[np.uint8]:
    """Return blocks of different shades with the noise of a sensor."""
    rng = np.random.default_rng(seed)
    shades = rng.integers(40, 200, (12, 16, 3))
    image = np.kron(shades, np.ones((20, 20, 1))) + rng.normal(
        0.0, 1.5, (HEIGHT, WIDTH, 3)
    )
    return np.clip(image, 0, 255).astype(np.uint8)


def make_depth(seed: int = 0) -> NDArray[np.float32]:
    """Return a floor with blocks on it, noise and a few holes."""
    rng = np.random.default_rng(seed)
    depth = 0.84 + rng.normal(0.0, 0.001, (HEIGHT, WIDTH))
    depth[100:140, 120:180] -= 0.05
    depth[rng.random(depth.shape) < 0.03] = 0.0
    return depth.astype(np.float32)


def blur(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a running mean over squares of `size` pixels."""
    wide = image.astype(float)
    for axis in (0, 1):
        wide = np.mean([np.roll(wide, k, axis) for k in range(size)], axis=0)
    return np.asarray(wide, dtype=np.uint8)


def add_noise(image: NDArray[Any], sigma: float) -> NDArray[np.uint8]:
    noisy = image + np.random.default_rng(1).normal(0.0, sigma, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def with_part(image: NDArray[Any], rows: slice, value: float) -> NDArray[Any]:
    changed = image.copy()
    changed[rows] = value
    return changed


@pytest.mark.parametrize("seed", range(5))
def test_a_sharp_picture_with_contrast_is_good(seed: int) -> None:
    assert find_color_flaw(make_color(seed)) == ""


@pytest.mark.parametrize(
    ("image", "phrase"),
    [
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), "it is dark (at most 0 of 255)"),
        (add_noise(np.full((HEIGHT, WIDTH, 3), 8), 1.5), "it is dark"),
        (np.full((HEIGHT, WIDTH, 3), 255, np.uint8), "it is overexposed (100% of it)"),
        (add_noise(np.full((HEIGHT, WIDTH, 3), 120), 1.5), "it shows one shade only"),
        (blur(make_color(), 25), "it is blurred (sharpness"),
        (with_part(make_color(), slice(120, None), 0), "it is missing (50%)"),
        (with_part(make_color(), slice(0, 60), 128), "it is missing (25%)"),
        (make_color()[..., 0], "there is no colour image"),
        (make_color()[..., :2], "there is no colour image"),
        (make_color().astype(np.float32), "there is no colour image"),
        (np.zeros((0, 0, 3), np.uint8), "there is no colour image"),
    ],
)
def test_a_picture_that_shows_nothing_is_named_for_what_it_is(
    image: NDArray[Any], phrase: str
) -> None:
    assert phrase in find_color_flaw(image)


def test_missing_columns_are_missing_too() -> None:
    turned = np.ascontiguousarray(
        with_part(make_color(), slice(0, 120), 0).transpose(1, 0, 2)
    )

    assert "it is missing" in find_color_flaw(turned)


@pytest.mark.parametrize(
    ("share", "is_good"), [(BLINDED_RATIO - 0.1, True), (BLINDED_RATIO + 0.1, False)]
)
def test_a_lamp_in_the_picture_is_no_overexposure(share: float, is_good: bool) -> None:
    image = make_color()
    image[:, : round(share * WIDTH)] = add_noise(
        np.full((HEIGHT, round(share * WIDTH), 3), 254), 1.5
    )

    assert (find_color_flaw(image) == "") is is_good


@pytest.mark.parametrize("seed", range(5))
def test_depth_of_a_floor_with_parts_is_good(seed: int) -> None:
    assert find_depth_flaw(make_depth(seed), CAMERA_HEIGHT_M) == ""


@pytest.mark.parametrize(
    ("image", "phrase"),
    [
        (np.zeros((HEIGHT, WIDTH), np.float32), "only 0% of it has depth"),
        (np.full((HEIGHT, WIDTH), np.nan), "only 0% of it has depth"),
        (np.full((HEIGHT, WIDTH), np.inf), "only 0% of it has depth"),
        (with_part(make_depth(), slice(180, None), 0.0), "it is missing (25%)"),
        (np.full((HEIGHT, WIDTH), 0.84, np.float32), "all of it is equally far"),
        (with_part(make_depth(), slice(0, 110), 0.2), "something near covers it (47%)"),
        (np.zeros((HEIGHT, WIDTH, 1)), "there is no depth image"),
        (np.zeros((0, 0)), "there is no depth image"),
    ],
)
def test_depth_that_shows_nothing_is_named_for_what_it_is(
    image: NDArray[Any], phrase: str
) -> None:
    assert phrase in find_depth_flaw(image, CAMERA_HEIGHT_M)


def test_a_camera_whose_place_is_not_known_shows_nothing() -> None:
    assert "covers it (100%)" in find_depth_flaw(make_depth(), float("nan"))


@pytest.mark.parametrize(
    ("rows", "is_good"),
    [
        (round((MISSING_RATIO - 0.02) * HEIGHT), True),
        (round((MISSING_RATIO + 0.02) * HEIGHT), False),
    ],
)
def test_a_strip_without_depth_at_the_edge_is_forgiven(
    rows: int, is_good: bool
) -> None:
    image = with_part(make_depth(), slice(0, rows), 0.0)

    assert (find_depth_flaw(image, CAMERA_HEIGHT_M) == "") is is_good


@pytest.mark.parametrize(
    ("share", "is_good"), [(COVERED_RATIO - 0.05, True), (COVERED_RATIO + 0.05, False)]
)
def test_a_corner_of_the_arm_covers_nothing(share: float, is_good: bool) -> None:
    image = make_depth()
    image[: round(share * HEIGHT)] = add_jitter(0.3, round(share * HEIGHT))

    assert (find_depth_flaw(image, CAMERA_HEIGHT_M) == "") is is_good


@pytest.mark.parametrize(
    ("share", "is_good"), [(SEEN_RATIO + 0.05, True), (SEEN_RATIO - 0.05, False)]
)
def test_scattered_holes_are_forgiven_up_to_a_share(
    share: float, is_good: bool
) -> None:
    rng = np.random.default_rng(2)
    image = make_depth()
    image[rng.random(image.shape) > share / 0.97] = 0.0

    assert (find_depth_flaw(image, CAMERA_HEIGHT_M) == "") is is_good


def add_jitter(distance_m: float, rows: int) -> NDArray[np.float64]:
    return distance_m + np.random.default_rng(3).normal(0.0, 0.001, (rows, WIDTH))


@pytest.mark.parametrize(
    ("image", "is_shared"),
    [
        (make_color(), False),
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), False),
        (add_noise(np.full((HEIGHT, WIDTH, 3), 8), 1.5), False),
        (np.full((HEIGHT, WIDTH, 3), 255, np.uint8), True),
        (blur(make_color(), 25), True),
        (add_noise(np.full((HEIGHT, WIDTH, 3), 120), 1.5), True),
        (with_part(make_color(), slice(120, None), 0), True),
        (np.zeros((0, 0, 3), np.uint8), True),
    ],
)
def test_depth_suffers_from_all_that_spoils_its_picture_but_darkness(
    image: NDArray[Any], is_shared: bool
) -> None:
    flaw = find_color_flaw(image)

    shared = find_shared_flaw(image, flaw)

    assert bool(shared) is is_shared
    assert not is_shared or shared.endswith(flaw)


def test_what_is_no_colour_image_is_not_dark() -> None:
    assert not is_dark(np.zeros((HEIGHT, WIDTH), np.uint8))
    assert not is_dark(np.zeros((HEIGHT, WIDTH, 3), np.float32))
    assert not is_dark(np.zeros((0, 0, 3), np.uint8))
    assert is_dark(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
