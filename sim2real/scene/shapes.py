"""Shape families of parts: the convex pieces they are made of, and their sizes.

A part is a few convex primitives, so that the same description serves the physics, the
cameras and tests. Every family keeps its two smaller extents at or below 50 mm, so each
stable pose offers a width that fits between the fingers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np

Point = tuple[float, float, float]


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
