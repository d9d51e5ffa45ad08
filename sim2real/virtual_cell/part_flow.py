"""Parts come into the bin, go away from the outfeed, and sometimes fall beside.

The line orders refills and takes parts away; the pool of parts is fixed, so what left
the cell comes back later in random order and a new colour.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from sim2real.scene.build import (
    TIMESTEP_S,
    Scene,
    is_parked,
    park_part,
    place_part,
    read_part_positions,
    recolour_part,
)
from sim2real.scene.clutter import drop_parts, find_in_bin, settle
from sim2real.scene.parts import sample_colour
from sim2real.virtual_cell.links import PartZone

ZONE_PERIOD_TICKS: Final = 25
"""Zones are worked out at 20 Hz."""

FIRST_SETTLE_S: Final = 2.5
_DROP_SPAN_S: Final = 1.0
_DROP_HEIGHT_M: Final = 0.15
_DROP_PITCH_M: Final = 0.04
_DROP_CLEARANCE_M: Final = 0.075
_DROP_TRIES: Final = 20
# With nothing to add, some parts are thrown anew, as a shaking feeder would.
_STIRRED: Final = 4
_LOST_AFTER_S: Final = 1.0
_BELOW_TABLE_M: Final = -0.15
_ON_PLATE_M: Final = 0.12


@dataclass(frozen=True)
class LineOrder:
    """The line's newest orders.

    Attributes:
        refill_id: a new number asks for a refill.
        refill_count: parts the bin shall hold afterwards.
        take_id: a new number takes the parts off the outfeed.
    """

    refill_id: int
    refill_count: int
    take_id: int


class PartFlow:
    """Moves parts between pool, bin, outfeed and nowhere.

    Attributes:
        zones: `PartZone` of every part of the pool.
        refills: refills done since start.
        lost: parts that ended up outside bin, gripper and outfeed since start.
    """

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self._scene = scene
        self._rng = rng
        self._order: LineOrder | None = None
        self._drops: deque[tuple[int, int]] = deque()
        self._outside_since: dict[int, int] = {}
        self._counted: set[int] = set()
        self.zones = [PartZone.PARKED] * len(scene.parts)
        self.refills = 0
        self.lost = 0

    def fill(self, count: int) -> None:
        """Start with a settled bin of `count` parts; takes no simulated time."""
        drop_parts(self._scene, self._rng, count)
        settle(self._scene, FIRST_SETTLE_S)
        self._scene.data.time = 0.0
        self._drops.clear()
        self._outside_since.clear()
        self._counted.clear()
        self._sort(0, -1)

    def step(self, tick: int, order: LineOrder | None, grasped_part: int) -> None:
        """Do what is due in this tick.

        Args:
            tick: count of physics steps.
            order: newest order of the line, None before the first one. The first one
                seen counts as done, for it belongs to a world that is gone.
            grasped_part: index of the part between the fingers, -1 for none.
        """
        if order is not None:
            self._take_up(tick, order)
        if self._drops and tick >= self._drops[0][0]:
            self._drop(tick, self._drops.popleft()[1])
            if not self._drops:
                self.refills += 1
        if tick % ZONE_PERIOD_TICKS == 0:
            self._sort(tick, grasped_part)

    def count(self, zone: int) -> int:
        """Return how many parts are in a zone."""
        return self.zones.count(zone)

    def _take_up(self, tick: int, order: LineOrder) -> None:
        before, self._order = self._order or order, order
        if order.take_id != before.take_id:
            for index in self._in_zone(PartZone.OUTFEED):
                self._park(index)
        if order.refill_id != before.refill_id:
            self._plan_refill(tick, order.refill_count)

    def _plan_refill(self, tick: int, wanted: int) -> None:
        # A part may be taken up from beside the bin, never out of the gripper.
        for index in self._in_zone(PartZone.ELSEWHERE):
            self._park(index)
        pool = self._rng.permutation(self._in_zone(PartZone.PARKED)).tolist()
        missing = wanted - self.count(PartZone.BIN)
        if missing <= 0 or not pool:
            pool = self._rng.permutation(self._in_zone(PartZone.BIN)).tolist()
            missing = _STIRRED
        chosen = [int(index) for index in pool[:missing]]
        spacing = _DROP_SPAN_S / TIMESTEP_S / max(len(chosen), 1)
        self._drops = deque(
            (tick + round(number * spacing), index)
            for number, index in enumerate(chosen)
        )
        if not chosen:
            self.refills += 1

    def _drop(self, tick: int, index: int) -> None:
        recolour_part(self._scene, index, sample_colour(self._rng))
        quat = self._rng.normal(size=4)
        place_part(
            self._scene,
            index,
            self._find_room(index).tolist(),
            (quat / np.linalg.norm(quat)).tolist(),
        )
        self.zones[index] = PartZone.BIN
        self._outside_since[index] = tick

    def _find_room(self, index: int) -> Vector:
        """Return a place above the bin that no other part is near."""
        geometry = self._scene.geometry
        reach = np.array(geometry.bin_floor_size_m) / 2 - 0.04
        taken = np.delete(read_part_positions(self._scene), index, axis=0)
        place = np.zeros(3)
        for attempt in range(_DROP_TRIES):
            height = _DROP_HEIGHT_M + _DROP_PITCH_M * (attempt // 5)
            local = np.array([*self._rng.uniform(-reach, reach), height])
            place = geometry.base_from_bin.apply(local)
            nearest = np.linalg.norm(taken - place, axis=1).min(initial=1.0)
            if nearest > _DROP_CLEARANCE_M:
                break
        return place

    def _sort(self, tick: int, grasped_part: int) -> None:
        heights = read_part_positions(self._scene)[:, 2]
        zones = self._find_zones(grasped_part)
        for index, zone in enumerate(zones):
            self.zones[index] = zone
            if zone != PartZone.ELSEWHERE:
                self._outside_since.pop(index, None)
                self._counted.discard(index)
                continue
            self._note_outside(tick, index)
            if heights[index] < _BELOW_TABLE_M:
                self._park(index)

    def _find_zones(self, grasped_part: int) -> list[int]:
        scene = self._scene
        positions = read_part_positions(scene)
        in_bin = find_in_bin(scene) | self._find_falling_in(positions)
        on_outfeed = self._find_on_outfeed(positions)
        zones = []
        for index in range(len(scene.parts)):
            zone = PartZone.ELSEWHERE
            if is_parked(scene, index):
                zone = PartZone.PARKED
            elif index == grasped_part:
                zone = PartZone.GRIPPER
            elif in_bin[index]:
                zone = PartZone.BIN
            elif on_outfeed[index]:
                zone = PartZone.OUTFEED
            zones.append(zone)
        return zones

    def _find_falling_in(self, positions: Vector) -> NDArray[np.bool_]:
        """Return which parts are on their way from above the bin."""
        geometry = self._scene.geometry
        local = geometry.bin_from_base.apply(positions)
        half = np.array(geometry.bin_opening_size_m) / 2
        inside = (np.abs(local[:, :2]) < half).all(axis=1) & (local[:, 2] > 0)
        speeds = self._scene.data.qvel[self._scene.part_handles.qvel + 2]
        return np.asarray(inside & (speeds < -0.005))

    def _find_on_outfeed(self, positions: Vector) -> NDArray[np.bool_]:
        geometry = self._scene.geometry
        local = geometry.outfeed_from_base.apply(positions)
        half = np.array(geometry.outfeed_size_m) / 2
        inside = (np.abs(local[:, :2]) < half).all(axis=1)
        return np.asarray(inside & (local[:, 2] > 0) & (local[:, 2] < _ON_PLATE_M))

    def _note_outside(self, tick: int, index: int) -> None:
        """Count a part once when it has been outside for a while, or fell down."""
        since = self._outside_since.setdefault(index, tick)
        if index in self._counted or (tick - since) * TIMESTEP_S < _LOST_AFTER_S:
            return
        self._counted.add(index)
        self.lost += 1

    def _park(self, index: int) -> None:
        if self.zones[index] == PartZone.ELSEWHERE and index not in self._counted:
            self.lost += 1
        self._counted.discard(index)
        self._outside_since.pop(index, None)
        park_part(self._scene, index)
        self.zones[index] = PartZone.PARKED

    def _in_zone(self, zone: int) -> list[int]:
        return [index for index, where in enumerate(self.zones) if where == zone]
