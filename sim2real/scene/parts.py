"""The catalogue of parts: shape families, their sizes and masses, and how to draw some.

A part is a few convex primitives, so that the same description serves the physics, the
cameras and tests. Every family keeps its two smaller extents at or below 50 mm, so each
stable pose offers a width that fits between the fingers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np

from cell.contracts.geometry import Vector

Point = tuple[float, float, float]
Rgba = tuple[float, float, float, float]


class PrimitiveKind(Enum):
    """Convex bodies that a part is made of."""

    BOX = "box"
    CYLINDER = "cylinder"
    CAPSULE = "capsule"
    HULL = "hull"


@dataclass(frozen=True)
class Primitive:
    """One convex piece of a part, in the part's frame.

    Attributes:
        kind: which body.
        size_m: half extents of a box; radius and half length of a cylinder or capsule
            along its z; empty for a hull.
        position_m: centre in the part's frame.
        quat_wxyz: orientation in the part's frame.
        points_m: corners of a hull.
    """

    kind: PrimitiveKind
    size_m: tuple[float, ...]
    position_m: Point = (0.0, 0.0, 0.0)
    quat_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    points_m: tuple[Point, ...] = ()


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


@dataclass(frozen=True)
class ShapeFamily:
    """How the extents of a family are drawn, and what pieces they make.

    Attributes:
        size_min_m: smallest outer extents along x, y, z.
        size_max_m: largest ones.
        primitives: pieces for given outer extents.
        is_round: x and y extents are equal.
    """

    size_min_m: Point
    size_max_m: Point
    primitives: Callable[[Point], tuple[Primitive, ...]]
    is_round: bool = False


def _box(half: Point, centre: Point = (0.0, 0.0, 0.0)) -> Primitive:
    return Primitive(PrimitiveKind.BOX, half, centre)


def _cylinder(radius_m: float, half_m: float, z_m: float = 0.0) -> Primitive:
    return Primitive(PrimitiveKind.CYLINDER, (radius_m, half_m), (0.0, 0.0, z_m))


def _cuboid(size: Point) -> tuple[Primitive, ...]:
    return (_box((size[0] / 2, size[1] / 2, size[2] / 2)),)


def _prism(sides: int) -> Callable[[Point], tuple[Primitive, ...]]:
    def build(size: Point) -> tuple[Primitive, ...]:
        angles = 2 * np.pi * (np.arange(sides) + 0.5) / sides
        ring = np.column_stack([np.cos(angles), np.sin(angles)])
        # Stretched so that the outer extents are what the size says, for any count.
        ring = (ring - (ring.max(0) + ring.min(0)) / 2) / np.ptp(ring, axis=0)
        points = tuple(
            (float(x * size[0]), float(y * size[1]), float(z * size[2] / 2))
            for z in (-1, 1)
            for x, y in ring
        )
        return (Primitive(PrimitiveKind.HULL, (), points_m=points),)

    return build


def _wedge(size: Point) -> tuple[Primitive, ...]:
    x, y, z = (extent / 2 for extent in size)
    points = tuple(
        (float(px), float(sy * y), float(pz))
        for sy in (-1, 1)
        for px, pz in ((-x, -z), (x, -z), (x, -0.2 * z), (-x, z))
    )
    return (Primitive(PrimitiveKind.HULL, (), points_m=points),)


def _rod(size: Point) -> tuple[Primitive, ...]:
    return (_cylinder(size[0] / 2, size[2] / 2),)


def _capsule(size: Point) -> tuple[Primitive, ...]:
    radius = size[0] / 2
    return (Primitive(PrimitiveKind.CAPSULE, (radius, size[2] / 2 - radius)),)


def _capped_tube(size: Point) -> tuple[Primitive, ...]:
    radius, half, cap = size[0] / 2, size[2] / 2, 0.005
    return (
        _cylinder(0.82 * radius, half - cap),
        _cylinder(radius, cap, half - cap),
        _cylinder(radius, cap, cap - half),
    )


def _flanged_bush(size: Point) -> tuple[Primitive, ...]:
    radius, half, flange = size[0] / 2, size[2] / 2, 0.005
    return (
        _cylinder(0.62 * radius, half - flange, flange),
        _cylinder(radius, flange, flange - half),
    )


def _l_profile(size: Point) -> tuple[Primitive, ...]:
    x, y, z = (extent / 2 for extent in size)
    wall = 0.006
    return (
        _box((x, y, wall), (0.0, 0.0, wall - z)),
        _box((wall, y, z - wall), (wall - x, 0.0, wall)),
    )


def _t_profile(size: Point) -> tuple[Primitive, ...]:
    x, y, z = (extent / 2 for extent in size)
    wall = 0.006
    return (
        _box((x, y, wall), (0.0, 0.0, z - wall)),
        _box((wall, y, z - wall), (0.0, 0.0, -wall)),
    )


def _u_profile(size: Point) -> tuple[Primitive, ...]:
    x, y, z = (extent / 2 for extent in size)
    wall = 0.005
    return (
        _box((x, y, wall), (0.0, 0.0, wall - z)),
        _box((wall, y, z - wall), (wall - x, 0.0, wall)),
        _box((wall, y, z - wall), (x - wall, 0.0, wall)),
    )


def _cross(size: Point) -> tuple[Primitive, ...]:
    x, y, z = (extent / 2 for extent in size)
    return (_box((x, 0.4 * y, z)), _box((0.4 * x, y, z)))


PART_SHAPES: Mapping[str, ShapeFamily] = MappingProxyType(
    {
        "cube": ShapeFamily((0.028, 0.028, 0.028), (0.045, 0.045, 0.045), _cuboid),
        "bar": ShapeFamily((0.050, 0.025, 0.025), (0.070, 0.034, 0.034), _cuboid),
        "plate": ShapeFamily((0.045, 0.034, 0.025), (0.070, 0.048, 0.028), _cuboid),
        "prism3": ShapeFamily((0.034, 0.034, 0.034), (0.046, 0.046, 0.060), _prism(3)),
        "prism5": ShapeFamily((0.032, 0.032, 0.028), (0.046, 0.046, 0.060), _prism(5)),
        "prism6": ShapeFamily((0.030, 0.030, 0.026), (0.046, 0.046, 0.060), _prism(6)),
        "wedge": ShapeFamily((0.046, 0.028, 0.028), (0.066, 0.042, 0.038), _wedge),
        "cylinder": ShapeFamily(
            (0.028, 0.028, 0.030), (0.046, 0.046, 0.060), _rod, is_round=True
        ),
        "rod": ShapeFamily(
            (0.025, 0.025, 0.055), (0.030, 0.030, 0.070), _rod, is_round=True
        ),
        "capsule": ShapeFamily(
            (0.025, 0.025, 0.045), (0.036, 0.036, 0.070), _capsule, is_round=True
        ),
        "capped_tube": ShapeFamily(
            (0.030, 0.030, 0.042), (0.044, 0.044, 0.068), _capped_tube, is_round=True
        ),
        "flanged_bush": ShapeFamily(
            (0.036, 0.036, 0.030), (0.050, 0.050, 0.050), _flanged_bush, is_round=True
        ),
        "l_profile": ShapeFamily(
            (0.036, 0.030, 0.030), (0.050, 0.060, 0.046), _l_profile
        ),
        "t_profile": ShapeFamily(
            (0.036, 0.030, 0.030), (0.050, 0.060, 0.046), _t_profile
        ),
        "u_profile": ShapeFamily(
            (0.032, 0.030, 0.028), (0.048, 0.060, 0.040), _u_profile
        ),
        "cross": ShapeFamily((0.040, 0.040, 0.025), (0.050, 0.050, 0.034), _cross),
    }
)
"""Shape families by name."""

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
