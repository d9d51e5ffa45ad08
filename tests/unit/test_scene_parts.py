import numpy as np
import pytest

from sim2real.scene.parts import (
    MASS_MAX_KG,
    MASS_MIN_KG,
    PartSpec,
    compute_primitives,
    sample_parts,
)
from sim2real.scene.shapes import PART_SHAPES, PrimitiveKind


def test_the_catalogue_has_at_least_twelve_shape_families() -> None:
    assert len(PART_SHAPES) >= 12


def test_the_same_seed_gives_the_same_parts() -> None:
    first, second = (sample_parts(30, np.random.default_rng(4)) for _ in range(2))

    assert first == second
    assert first != sample_parts(30, np.random.default_rng(5))


def test_every_family_comes_up_before_one_comes_up_again() -> None:
    parts = sample_parts(len(PART_SHAPES), np.random.default_rng(0))

    assert {part.shape for part in parts} == set(PART_SHAPES)


def test_sizes_and_masses_stay_within_the_promised_ranges() -> None:
    for part in sample_parts(400, np.random.default_rng(1)):
        assert all(0.025 <= extent <= 0.070 for extent in part.size_m), part
        assert MASS_MIN_KG <= part.mass_kg <= MASS_MAX_KG, part


def test_masses_use_the_whole_range_from_plastic_to_steel() -> None:
    masses = [part.mass_kg for part in sample_parts(400, np.random.default_rng(2))]

    assert min(masses) < 0.06
    assert max(masses) > 0.6


@pytest.mark.parametrize("shape", sorted(PART_SHAPES))
def test_the_pieces_of_a_part_fill_exactly_its_outer_extents(shape: str) -> None:
    for seed in range(5):
        part = _part_of(shape, seed)
        low, high = _bounds(part)

        assert high - low == pytest.approx(np.array(part.size_m), abs=1e-9)


@pytest.mark.parametrize("shape", sorted(PART_SHAPES))
def test_every_part_fits_between_the_fingers_across_its_two_smaller_sides(
    shape: str,
) -> None:
    part = _part_of(shape, 7)

    assert sorted(part.size_m)[1] <= 0.070


def test_colours_differ_between_parts() -> None:
    parts = sample_parts(24, np.random.default_rng(3))

    assert len({part.rgba for part in parts}) == len(parts)


def _part_of(shape: str, seed: int) -> PartSpec:
    rng = np.random.default_rng(seed)
    return next(p for p in sample_parts(2 * len(PART_SHAPES), rng) if p.shape == shape)


def _bounds(part: PartSpec) -> tuple[np.ndarray, np.ndarray]:
    lows, highs = [], []
    for piece in compute_primitives(part):
        if piece.kind is PrimitiveKind.HULL:
            points = np.array(piece.points_m)
            lows.append(points.min(0))
            highs.append(points.max(0))
            continue
        half = np.array(piece.size_m)
        if piece.kind is PrimitiveKind.CYLINDER:
            half = np.array([half[0], half[0], half[1]])
        if piece.kind is PrimitiveKind.CAPSULE:
            half = np.array([half[0], half[0], half[0] + half[1]])
        centre = np.array(piece.position_m)
        lows.append(centre - half)
        highs.append(centre + half)
    return np.min(lows, axis=0), np.max(highs, axis=0)
