"""The arm as capsules, and which of them are checked against what.

The links of the UR5e are enclosed, collision bodies and visible shells, by a segment
with a radius each; a test holds them against the meshes of the Menagerie model. Ends
are given in the Denavit-Hartenberg frame in which a link stands still.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cell.contracts.arm_geometry import DH_A_M, DH_D_M
from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose, Vector
from safety.config import SafetyConfig
from safety.plain_frames import compute_frames
from safety.zones import BoxZone, CapsuleGroup, CylinderZone, Zone

BOX, CYLINDER, HALF_SPACE = 1, 2, 3

_Row = tuple[str, CapsuleGroup, int, Vector, Vector, float]

# Name, group, frame, ends in that frame [m], radius [m]. The upper arm runs 138 mm
# beside the line of the Denavit-Hartenberg frames, the forearm 7 mm.
_LINKS: Final[tuple[_Row, ...]] = tuple(
    (name, group, frame, np.array(start), np.array(end), radius)
    for name, group, frame, start, end, radius in (
        ("base", CapsuleGroup.BASE, 0, (0, 0, 0.02), (0, 0, 0.145), 0.080),
        ("shoulder", CapsuleGroup.ARM, 1, (0, 0, 0.0), (0, 0, 0.165), 0.082),
        ("upper_arm", CapsuleGroup.ARM, 2, (0.425, 0, 0.138), (0, 0, 0.138), 0.064),
        ("elbow", CapsuleGroup.ARM, 2, (0, 0, 0.02), (0, 0, 0.170), 0.067),
        ("forearm", CapsuleGroup.ARM, 3, (0.3922, 0, 0.007), (0, 0, 0.007), 0.058),
        ("wrist_1", CapsuleGroup.ARM, 3, (0, 0, -0.010), (0, 0, 0.145), 0.056),
        ("wrist_2", CapsuleGroup.ARM, 4, (0, 0, -0.020), (0, 0, 0.105), 0.054),
        ("wrist_3", CapsuleGroup.ARM, 5, (0, 0, -0.025), (0, 0, 0.085), 0.054),
    )
)
_PART: Final = "part"
FLANGE: Final = 6
"""Frame of everything that the arm carries."""

PART_RADIUS_MAX_M: Final = 0.1
PART_LENGTH_MAX_M: Final = 0.2
"""The largest part that a part's capsule may stand for."""

# Pairs that joint limits and link lengths do not keep apart already. Neighbours touch
# by construction and are left out.
_SELF_PAIRS: Final = (
    ("base", ("forearm", "wrist_1", "wrist_2", "wrist_3")),
    ("shoulder", ("forearm", "wrist_1", "wrist_2", "wrist_3")),
    ("upper_arm", ("wrist_1", "wrist_2", "wrist_3")),
    ("elbow", ("wrist_2", "wrist_3")),
    ("forearm", ("wrist_3",)),
)
# Of what the flange carries. The third wrist turns about its own axis with it, so
# nothing changes their distance; see `turning_decides` for the second.
_TOOL_AGAINST: Final = ("base", "shoulder", "upper_arm", "elbow", "forearm", "wrist_1")
_WRIST_2: Final = 6
_HELD: Final = (CapsuleGroup.TOOL, CapsuleGroup.FINGERS, CapsuleGroup.PART)
_LAST_JOINT: Final = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
# Turns of the last joint at which a tool is held against the second wrist.
_TURNS_RAD: Final = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
_ALONG: Final = np.linspace(0.0, 1.0, 41)[:, None]
# More than a sample can be wrong by, and a link ever be slowed down for.
_FAR_M: Final = 0.02
_SAME_M: Final = 1e-6

_OWN_NAMES: Final = frozenset({row[0] for row in _LINKS} | {_PART})


class Surroundings(NamedTuple):
    """Everything that clearance is computed from, as arrays for the kernel.

    Attributes:
        frame: frame of each capsule, 0..6, shape (n,).
        ends: both ends in that frame, shape (n, 2, 3) [m].
        radius: of each capsule, shape (n,) [m]; a part of radius 0 is not there.
        reach: distance that a point of each capsule can have from each joint's axis,
            in any position of the arm, shape (n, 6) [m]; 0 where a joint does not move
            it.
        zone_kind: see `BOX`, `CYLINDER`, `HALF_SPACE`, shape (m,).
        zone_size: half sides; or radius, half height, 0, shape (m, 3) [m].
        zone_from_base: shape (m, 3, 4).
        zone_margin: distance kept, shape (m,) [m].
        against_zone: capsule and zone of each check, shape (k, 2).
        against_self: the two capsules of each check, the one nearer to the base first,
            shape (l, 2).
        slow_m: distances below which an approach is slowed down, to zones and to
            itself, shape (2,) [m].
    """

    frame: NDArray[np.int64]
    ends: NDArray[np.float64]
    radius: NDArray[np.float64]
    reach: NDArray[np.float64]
    zone_kind: NDArray[np.int64]
    zone_size: NDArray[np.float64]
    zone_from_base: NDArray[np.float64]
    zone_margin: NDArray[np.float64]
    against_zone: NDArray[np.int64]
    against_self: NDArray[np.int64]
    slow_m: NDArray[np.float64]

    def copy(self) -> "Surroundings":
        """Return the same numbers in arrays of their own."""
        return self._replace(
            **{name: array.copy() for name, array in self._asdict().items()}
        )


class Names(NamedTuple):
    """Names of capsules and zones, in the order of `Surroundings`."""

    capsules: tuple[str, ...]
    zones: tuple[str, ...]


def name_check(item: int, around: Surroundings, names: Names) -> str:
    """Return what a clearance check is between, by its number."""
    first_self = len(around.against_zone)
    if item < first_self:
        capsule, zone = around.against_zone[item]
        return f"{names.capsules[capsule]} and zone {names.zones[zone]}"
    one, other = around.against_self[item - first_self]
    return f"{names.capsules[one]} and {names.capsules[other]}"


def make_surroundings(
    config: SafetyConfig, flange_from_tcp: Pose
) -> tuple[Surroundings, Names]:
    """Pack the capsules and zones of a cell.

    Args:
        config: limits of the cell.
        flange_from_tcp: where a part is carried.

    Raises:
        ConfigError: a number is not finite, or a name is that of a link.
    """
    for capsule in config.tool:
        if capsule.name in _OWN_NAMES:
            raise ConfigError(
                f"safety.tool: {capsule.name!r} is the name of a link; choose another"
            )
    rows = [*_LINKS, *_make_tool_rows(config), _make_part_row(flange_from_tcp)]
    names = tuple(row[0] for row in rows)
    zones = config.zones
    radius = np.array([row[5] for row in rows], np.float64)
    # Nothing is carried until somebody says so.
    radius[-1] = 0.0
    around = Surroundings(
        frame=np.array([row[2] for row in rows], np.int64),
        ends=np.array([[row[3], row[4]] for row in rows], np.float64),
        radius=radius,
        reach=np.array([_compute_reach(row) for row in rows]),
        zone_kind=np.array([_KINDS[zone.kind] for zone in zones], np.int64),
        zone_size=_stack([_size_of(zone) for zone in zones], (3,)),
        zone_from_base=_stack(
            [zone.base_from_zone().inverse().as_matrix()[:3] for zone in zones], (3, 4)
        ),
        zone_margin=np.array([zone.margin_m for zone in zones], np.float64),
        against_zone=_pairs(
            [
                (capsule, number)
                for number, zone in enumerate(zones)
                for capsule, row in enumerate(rows)
                if row[1] in _groups_of(zone)
            ]
        ),
        against_self=_pairs(_list_self_pairs(rows)),
        slow_m=np.array([config.slow_distance_m, SELF_SLOW_M]),
    )
    for key, array in around._asdict().items():
        if not bool(np.isfinite(array).all()):
            raise ConfigError(f"safety.tool or safety.zones: {key} is not finite")
    return around, Names(names, tuple(zone.name for zone in zones))


SELF_SLOW_M: Final = 0.01
"""Distance of two links below which their approach is slowed down; MoveIt Servo's
threshold for the same purpose."""

_KINDS: Final = {"box": BOX, "cylinder": CYLINDER, "half_space": HALF_SPACE}
_GROUPS: Final = {
    "arm": CapsuleGroup.ARM,
    "tool": CapsuleGroup.TOOL,
    "fingers": CapsuleGroup.FINGERS,
    "part": CapsuleGroup.PART,
}


def _make_tool_rows(config: SafetyConfig) -> list[_Row]:
    return [
        (
            capsule.name,
            _GROUPS[capsule.group],
            FLANGE,
            np.array(capsule.from_m),
            np.array(capsule.to_m),
            capsule.radius_m,
        )
        for capsule in config.tool
    ]


def _make_part_row(flange_from_tcp: Pose) -> _Row:
    """Return the longest and thickest part; `attach` says what is there."""
    ends = place_part(flange_from_tcp.as_matrix()[:3], PART_LENGTH_MAX_M)
    return (_PART, CapsuleGroup.PART, FLANGE, ends[0], ends[1], PART_RADIUS_MAX_M)


def attach_part(
    around: Surroundings, flange_from_tcp: Vector, radius_m: float, length_m: float
) -> None:
    """Put a part into the fingers, in place; radius 0 when there is none.

    What is no size counts as the largest part there can be.

    Args:
        around: takes the part.
        flange_from_tcp: shape (3, 4).
        radius_m: of a capsule around the part [m].
        length_m: how far the part reaches beyond the tool point [m].
    """
    is_size = 0.0 <= radius_m <= PART_RADIUS_MAX_M
    if not (is_size and 0.0 <= length_m <= PART_LENGTH_MAX_M):
        radius_m, length_m = PART_RADIUS_MAX_M, PART_LENGTH_MAX_M
    around.ends[-1] = place_part(flange_from_tcp, length_m)
    around.radius[-1] = radius_m


def place_part(flange_from_tcp: Vector, length_m: float) -> NDArray[np.float64]:
    """Return the ends of a part that hangs from the tool point, shape (2, 3) [m].

    Args:
        flange_from_tcp: shape (3, 4).
        length_m: of the part beyond the tool point.
    """
    along, tcp = flange_from_tcp[:, 2], flange_from_tcp[:, 3]
    return np.array([tcp, tcp + length_m * along])


def _list_self_pairs(rows: list[_Row]) -> list[tuple[int, int]]:
    index = {row[0]: number for number, row in enumerate(rows)}
    links = [(index[a], index[b]) for a, others in _SELF_PAIRS for b in others]
    held = [number for number, row in enumerate(rows) if row[1] in _HELD]
    return [
        *links,
        *((index[name], number) for number in held for name in _TOOL_AGAINST),
        *(
            (_WRIST_2, number)
            for number in held
            if turning_decides(_list_gaps_m(rows[number]))
        ),
    ]


def _list_gaps_m(row: _Row) -> list[float]:
    """Return the clearance from the second wrist at each turn of the last joint [m].

    The joint between turns about the second wrist's own axis and changes nothing.
    """
    _name, _group, _frame, start, end, radius = _LINKS[_WRIST_2]
    gaps_m = []
    for turn in _TURNS_RAD:
        frames = compute_frames(turn * _LAST_JOINT)
        wrist_from_flange = np.linalg.inv(frames[4]) @ frames[FLANGE]
        rotation, position = wrist_from_flange[:3, :3], wrist_from_flange[:3, 3]
        held = (row[3] + _ALONG * (row[4] - row[3])) @ rotation.T + position
        link = start + _ALONG * (end - start)
        apart_m = np.linalg.norm(held[:, None] - link[None, :], axis=2)
        gaps_m.append(float(apart_m.min()) - row[5] - radius)
    return gaps_m


def turning_decides(gaps_m: list[float]) -> bool:
    """Tell whether it depends on the turn if two things touch.

    What touches at every turn is built so; what comes near at none, or what no turn
    changes, needs no looking after.
    """
    most, least = max(gaps_m), min(gaps_m)
    return most - least > _SAME_M and most > 0.0 and least < _FAR_M


def _compute_reach(row: _Row) -> Vector:
    """Return an upper bound of a capsule's distance from each joint, shape (6,) [m].

    The way from joint i to the capsule leads over the links between, each of which is
    at most as long as its two Denavit-Hartenberg lengths together.
    """
    _name, _group, frame, start, end, radius = row
    own = max(float(np.linalg.norm(start)), float(np.linalg.norm(end))) + radius
    lengths = np.hypot(DH_A_M, DH_D_M)
    reach = np.zeros(6)
    for joint in range(frame):
        reach[joint] = own + float(lengths[joint:frame].sum())
    return reach


def _size_of(zone: Zone) -> tuple[float, float, float]:
    if isinstance(zone, BoxZone):
        return zone.half_m
    if isinstance(zone, CylinderZone):
        return (zone.radius_m, zone.half_height_m, 0.0)
    return (0.0, 0.0, 0.0)


def _groups_of(zone: Zone) -> set[CapsuleGroup]:
    return {_GROUPS[name] for name in zone.keeps_out}


def _stack(values: list[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.array(values, np.float64).reshape(len(values), *shape)


def _pairs(values: list[tuple[int, int]]) -> NDArray[np.int64]:
    return np.array(values, np.int64).reshape(len(values), 2)
