"""Statistics of the virtual cameras' noise."""

import numpy as np
import pytest

from sim2real.virtual_cell.depth_noise import (
    StereoNoise,
    apply_color_noise,
    apply_depth_noise,
)

SIZE = (240, 320)
SMOOTH = StereoNoise(step_per_m=1e-6, dropout_ratio=0.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plane(depth_m: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.full(SIZE, depth_m, np.float32)


@pytest.mark.parametrize("depth_m", [0.2, 0.4, 0.84, 1.6])
def test_axial_noise_grows_with_the_square_of_the_distance(depth_m: float) -> None:
    noisy = apply_depth_noise(plane(depth_m), SMOOTH, rng())

    error = noisy - np.float32(depth_m)
    assert np.std(error) == pytest.approx(SMOOTH.axial_sigma_m(depth_m), rel=0.05)
    assert abs(np.mean(error)) < 0.03 * SMOOTH.axial_sigma_m(depth_m) + 1e-6


def test_the_noise_above_the_bin_is_about_a_millimetre() -> None:
    noisy = apply_depth_noise(plane(0.84), StereoNoise(), rng())

    assert 0.0008 < np.std(noisy[noisy > 0] - 0.84) < 0.0016


def test_neighbours_err_together_and_distant_pixels_do_not() -> None:
    error = apply_depth_noise(plane(0.84), SMOOTH, rng()) - np.float32(0.84)

    def correlation(shift: int) -> float:
        first, second = error[:, :-shift].ravel(), error[:, shift:].ravel()
        return float(np.corrcoef(first, second)[0, 1])

    assert correlation(1) == pytest.approx(0.5, abs=0.05)
    assert abs(correlation(5)) < 0.03


def test_depth_comes_in_steps_of_disparity() -> None:
    noise = StereoNoise(dropout_ratio=0.0)

    noisy = apply_depth_noise(plane(0.84), noise, rng())

    steps = 1.0 / (noisy.astype(np.float64) * noise.step_per_m)
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert len(np.unique(noisy)) < 20


def test_holes_are_rare_on_planes_and_frequent_beside_depth_steps() -> None:
    noise = StereoNoise()
    depth = plane(0.84)
    depth[:, 160:] = 0.80

    missing = apply_depth_noise(depth, noise, rng()) == 0

    assert missing[:, 159:161].mean() == pytest.approx(
        noise.edge_dropout_ratio, abs=0.08
    )
    assert missing[:, :150].mean() == pytest.approx(noise.dropout_ratio, abs=0.001)


def test_edges_fray_by_one_pixel_and_no_more() -> None:
    depth = plane(0.84)
    depth[:, 160:] = 0.70

    noisy = apply_depth_noise(depth, StereoNoise(), rng())

    near = (noisy > 0) & (noisy < 0.77)
    assert 0.02 < near[:, 159].mean() < 0.5
    assert not near[:, :159].any()
    assert (near | (noisy == 0))[:, 161:].all()


@pytest.mark.parametrize("depth_m", [0.0, 0.05, 5.0])
def test_nothing_is_measured_out_of_range(depth_m: float) -> None:
    assert (apply_depth_noise(plane(depth_m), StereoNoise(), rng()) == 0).all()


def test_equal_seeds_give_equal_noise_and_the_input_is_left_alone() -> None:
    depth = plane(0.84)

    first = apply_depth_noise(depth, StereoNoise(), rng(3))
    second = apply_depth_noise(depth, StereoNoise(), rng(3))
    other = apply_depth_noise(depth, StereoNoise(), rng(4))

    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert (depth == np.float32(0.84)).all()


def test_colour_noise_has_the_given_deviation_and_no_bias() -> None:
    rgb = np.full((*SIZE, 3), 128, np.uint8)

    noisy = apply_color_noise(rgb, 1.5, rng()).astype(float)

    assert noisy.std() == pytest.approx(1.5, rel=0.05)
    assert noisy.mean() == pytest.approx(128, abs=0.02)
    channels = np.corrcoef(noisy.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.02


@pytest.mark.parametrize("level", [0, 255])
def test_colour_noise_stays_within_a_byte(level: int) -> None:
    rgb = np.full((*SIZE, 3), level, np.uint8)

    noisy = apply_color_noise(rgb, 1.5, rng()).astype(int)

    assert np.abs(noisy - level).max() < 12
