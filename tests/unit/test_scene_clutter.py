import numpy as np
import pytest

from sim2real.scene.clutter import count_in_bin, drop_parts, settle
from tests.fakes.cell_scene import make_scene


def test_the_same_seed_settles_to_the_same_clutter_bit_for_bit() -> None:
    states = []
    for _ in range(2):
        scene = make_scene(seed=3)
        drop_parts(scene, np.random.default_rng(8), 12)
        settle(scene, 1.0)
        states.append(scene.data.qpos.copy())

    assert np.array_equal(states[0], states[1])


@pytest.mark.parametrize("seed", range(4))
def test_dropped_parts_end_up_at_rest_in_the_bin(seed: int) -> None:
    scene = make_scene(seed)

    drop_parts(scene, np.random.default_rng(seed), 15)
    settle(scene, 2.5)

    assert count_in_bin(scene) >= 14
    assert np.abs(scene.data.qvel).max() < 0.05


def test_a_scene_can_be_filled_again_and_again() -> None:
    scene = make_scene()

    for seed in range(3):
        drop_parts(scene, np.random.default_rng(seed), 6)
        settle(scene, 1.5)

        assert count_in_bin(scene) == 6


def test_asking_for_more_parts_than_the_pool_holds_is_refused() -> None:
    scene = make_scene(parts=3)

    with pytest.raises(ValueError, match="pool holds 3 parts, 4 were asked for"):
        drop_parts(scene, np.random.default_rng(0), 4)
