"""Zones and tools for the adversary's opponents: none, plausible, and contradictory."""

from typing import Any

import numpy as np

from safety.zones import BoxZone, CylinderZone, HalfSpaceZone, ToolCapsule, Zone
from tests.oracle.plain import Vector

_ALL: tuple[Any, ...] = ("arm", "tool", "fingers", "part")
_TOOL = (
    ToolCapsule(
        name="gripper",
        group="tool",
        from_m=(0.0, 0.0, 0.0),
        to_m=(0.0, 0.0, 0.085),
        radius_m=0.055,
    ),
    ToolCapsule(
        name="fingers",
        group="fingers",
        from_m=(0.0, 0.0, 0.09),
        to_m=(0.0, 0.0, 0.13),
        radius_m=0.075,
    ),
)
_TABLE = HalfSpaceZone(
    name="table",
    kind="half_space",
    keeps_out=("arm", "tool"),
    point_m=(0.0, 0.0, 0.0),
    normal=(0.0, 0.0, 1.0),
)


def draw_surroundings(
    rng: np.random.Generator, number: int, tcp: Vector
) -> dict[str, object]:
    """Return the configuration keys of a tool and zones about the tool point."""
    zones: list[Zone] = []
    if number % 8 == 7:  # the arm starts in the floor: to turn the base is sideways
        floor = _TABLE.model_copy(
            update={"keeps_out": _ALL, "point_m": (0.0, 0.0, float(tcp[2]) - 0.02)}
        )
        return {"tool": _TOOL, "zones": (floor,)}
    match number % 4:
        case 0:
            return {"tool": (), "zones": ()}
        case 1:
            zones = [_TABLE, *(_draw_zone(rng, k, tcp, 0.25) for k in range(3))]
        case 2:
            zones = [_draw_zone(rng, k, tcp, 0.45) for k in range(6)]
        case _:  # the arm starts inside, and between walls without room
            zones = [_draw_zone(rng, k, tcp, 0.05) for k in range(2)]
            zones += [_wall(tcp, 1.0), _wall(tcp, -1.0)]
    return {"tool": _TOOL, "zones": tuple(zones)}


def draw_part(rng: np.random.Generator, number: int) -> tuple[float, float]:
    """Return radius and length of what is in the fingers: nothing, or some part [m]."""
    if number % 3 == 0:
        return 0.0, 0.0
    return float(rng.uniform(0.005, 0.05)), float(rng.uniform(0.0, 0.1))


def _draw_zone(
    rng: np.random.Generator, number: int, tcp: Vector, distance_m: float
) -> Zone:
    way = rng.normal(size=3)
    centre = tcp + way / np.linalg.norm(way) * distance_m * rng.uniform(0.7, 1.5)
    facts: dict[str, Any] = {
        "name": f"zone_{number}",
        "keeps_out": _ALL,
        "margin_m": float(rng.choice([0.0, 0.01])),
        "centre_m": tuple(centre),
        "rotvec_rad": tuple(rng.uniform(-1.0, 1.0, 3)),
    }
    if number % 2:
        radius_m, half_height_m = rng.uniform(0.02, 0.1, 2)
        return CylinderZone(
            kind="cylinder", radius_m=radius_m, half_height_m=half_height_m, **facts
        )
    return BoxZone(kind="box", half_m=tuple(rng.uniform(0.01, 0.1, 3)), **facts)


def _wall(tcp: Vector, side: float) -> HalfSpaceZone:
    """A wall a centimetre beyond the tool point, facing it."""
    return HalfSpaceZone(
        name="wall_ahead" if side > 0 else "wall_behind",
        kind="half_space",
        keeps_out=_ALL,
        point_m=(float(tcp[0] + side * 0.01), 0.0, 0.0),
        normal=(-side, 0.0, 0.0),
    )
