"""The noise of the force sensor: as large as stated, bounded, torques untouched."""

import numpy as np

from sim2real.scene.force_noise import FORCE_DRIFT_N, FORCE_SIGMA_N, ForceNoise

PERIOD_S = 0.002
TORQUES = (0.1, 0.2, 0.3)


def record(seed: int, count: int) -> np.ndarray:
    noise = ForceNoise(seed, PERIOD_S)
    rows = [noise.disturb((0.0, 0.0, 0.0, *TORQUES)) for _ in range(count)]
    return np.array(rows)


def test_samples_are_as_noisy_as_stated_and_torques_are_left_alone() -> None:
    rows = record(0, 50_000)

    steps = np.diff(rows[:, :3], axis=0)
    assert np.allclose(steps.std(axis=0) / np.sqrt(2), FORCE_SIGMA_N, rtol=0.05)
    assert np.allclose(rows[:, 3:], TORQUES)


def test_the_zero_wanders_as_in_training_and_does_not_run_away() -> None:
    # Ten samples make one of the supervisor's; means of 200 leave the zero alone.
    zero = record(1, 400_000)[:, :3].reshape(-1, 200, 3).mean(axis=1)

    assert np.abs(zero).max() < 12.0
    assert 1.2 < zero.std() < 2.8
    # 20 supervisor samples apart; a mean over each end takes a third off a walk.
    moved = np.diff(zero, axis=0).std()
    assert 0.5 < moved / (FORCE_DRIFT_N * np.sqrt(20)) < 1.0


def test_the_same_seed_gives_the_same_noise() -> None:
    assert np.array_equal(record(3, 100), record(3, 100))
    assert not np.array_equal(record(3, 100), record(4, 100))
