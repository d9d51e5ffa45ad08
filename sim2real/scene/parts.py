"""The catalogue of parts: what one part is, and how to draw some."""

from dataclasses import dataclass

import numpy as np

from cell.contracts.geometry import Vector
from sim2real.scene.shapes import PART_SHAPES, Point, Primitive, PrimitiveKind

Rgba = tuple[float, float, float, float]


@dataclass(frozen=True)
class PartSpec:
    """One part of the pool.

    Attributes:
        name: unique in a pool.
        shape: key of `PART_SHAPES`.
        size_m: outer extents along the part's x, y, z; 25..70 mm each.
        mass_kg: 0.05..1.0.
        rgba: colour.
    """

    name: str
    shape: str
    size_m: Point
    mass_kg: float
    rgba: Rgba


MASS_MIN_KG, MASS_MAX_KG = 0.05, 1.0
# Plastic, aluminium, steel: what a mixed bin holds.
_DENSITIES_KGPM3 = (1150.0, 2700.0, 7800.0)
_COLOURS: tuple[Rgba, ...] = (
    (0.86, 0.22, 0.18, 1.0),
    (0.95, 0.56, 0.13, 1.0),
    (0.96, 0.80, 0.22, 1.0),
    (0.36, 0.70, 0.34, 1.0),
    (0.13, 0.58, 0.62, 1.0),
    (0.20, 0.42, 0.80, 1.0),
    (0.48, 0.32, 0.70, 1.0),
    (0.85, 0.45, 0.60, 1.0),
    (0.72, 0.74, 0.77, 1.0),
    (0.88, 0.86, 0.80, 1.0),
)


def compute_primitives(part: PartSpec) -> tuple[Primitive, ...]:
    """Return the convex pieces of a part in its own frame."""
    return PART_SHAPES[part.shape].primitives(part.size_m)


def compute_volume_m3(part: PartSpec) -> float:
    """Return the summed volume of the pieces [m^3]; overlaps count twice."""
    return sum(_volume(piece) for piece in compute_primitives(part))


def sample_colour(rng: np.random.Generator) -> Rgba:
    """Draw a colour near one of the catalogue's."""
    base = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))][:3])
    red, green, blue = np.clip(base + rng.normal(0.0, 0.03, 3), 0.03, 0.98)
    return (float(red), float(green), float(blue), 1.0)


def sample_parts(count: int, rng: np.random.Generator) -> list[PartSpec]:
    """Draw parts; families come up equally often, in random order.

    Args:
        count: how many.
        rng: source of randomness; the same state gives the same parts.
    """
    names = list(PART_SHAPES)
    order: list[str] = []
    while len(order) < count:
        order.extend(str(name) for name in rng.permutation(names))
    return [_sample_part(f"part{i}", order[i], rng) for i in range(count)]


def _sample_part(name: str, shape: str, rng: np.random.Generator) -> PartSpec:
    family = PART_SHAPES[shape]
    size = rng.uniform(family.size_min_m, family.size_max_m)
    if family.is_round:
        size[1] = size[0]
    extents = (float(size[0]), float(size[1]), float(size[2]))
    unit = PartSpec(name, shape, extents, 1.0, sample_colour(rng))
    density = float(rng.choice(_DENSITIES_KGPM3)) * float(rng.uniform(0.9, 1.1))
    mass = float(np.clip(density * compute_volume_m3(unit), MASS_MIN_KG, MASS_MAX_KG))
    return PartSpec(name, shape, extents, mass, unit.rgba)


def _volume(piece: Primitive) -> float:
    if piece.kind is PrimitiveKind.BOX:
        return float(8 * np.prod(piece.size_m))
    if piece.kind is PrimitiveKind.HULL:
        return _prism_volume(np.array(piece.points_m))
    radius, half = piece.size_m
    caps = 4 / 3 * np.pi * radius**3 if piece.kind is PrimitiveKind.CAPSULE else 0.0
    return float(2 * np.pi * radius**2 * half + caps)


def _prism_volume(points: Vector) -> float:
    # Every hull of the catalogue is an extrusion, listed as two equal rings.
    ring = points[: len(points) // 2]
    length = float(np.linalg.norm(points[len(points) // 2] - points[0]))
    spokes = ring[1:] - ring[0]
    area = np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(0)) / 2
    return float(area * length)
