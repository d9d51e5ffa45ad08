from dataclasses import replace

import mujoco
import numpy as np
import pytest

from sim2real.scene.build import Scene, place_part
from sim2real.scene.clutter import count_in_bin
from sim2real.virtual_cell.links import PartZone
from sim2real.virtual_cell.part_flow import LineOrder, PartFlow
from tests.fakes.cell_scene import make_scene

NO_ORDER = LineOrder(refill_id=7, refill_count=0, take_id=3)
UPRIGHT = [1.0, 0.0, 0.0, 0.0]


class Flow:
    """A part flow in a scene whose arm stands still."""

    def __init__(self, parts_in_bin: int = 6, seed: int = 0) -> None:
        self.scene: Scene = make_scene(seed)
        self.flow = PartFlow(self.scene, np.random.default_rng(seed))
        self.flow.fill(parts_in_bin)
        self.tick = 0
        self.order: LineOrder | None = NO_ORDER

    def run(self, seconds: float, grasped_part: int = -1) -> None:
        for _ in range(round(seconds / 0.002)):
            self.tick += 1
            self.flow.step(self.tick, self.order, grasped_part)
            mujoco.mj_step(self.scene.model, self.scene.data)

    def parked(self) -> list[int]:
        zones = self.flow.zones
        return [index for index, zone in enumerate(zones) if zone == PartZone.PARKED]

    def put(self, index: int, x: float, y: float, z: float) -> None:
        place_part(self.scene, index, [x, y, z], UPRIGHT)


@pytest.fixture
def cell() -> Flow:
    return Flow()


def test_the_world_starts_with_a_settled_bin_of_the_configured_size(cell: Flow) -> None:
    assert cell.flow.count(PartZone.BIN) == 6
    assert count_in_bin(cell.scene) == 6
    assert np.abs(cell.scene.data.qvel).max() < 0.05


def test_equal_seeds_start_equally() -> None:
    first, second = Flow(seed=4), Flow(seed=4)

    assert np.array_equal(first.scene.data.qpos, second.scene.data.qpos)


def test_a_refill_drops_parts_one_after_another_until_the_bin_holds_enough(
    cell: Flow,
) -> None:
    cell.run(0.1)
    cell.order = replace(NO_ORDER, refill_id=8, refill_count=14)

    cell.run(0.5)
    half_way = 24 - len(cell.parked())
    cell.run(2.5)

    assert 7 < half_way < 14
    assert cell.flow.count(PartZone.BIN) + cell.flow.lost == 14
    assert cell.flow.count(PartZone.BIN) >= 13
    assert cell.flow.refills == 1


def test_parts_that_lie_about_come_back_with_the_next_refill(cell: Flow) -> None:
    stray = cell.parked()[0]
    cell.put(stray, 0.35, 0.75, 0.05)
    cell.run(2.0)
    assert cell.flow.zones[stray] == PartZone.ELSEWHERE
    assert cell.flow.lost == 1

    cell.order = replace(NO_ORDER, refill_id=8, refill_count=7)
    cell.run(3.0)

    assert cell.flow.count(PartZone.ELSEWHERE) == 0
    assert cell.flow.count(PartZone.BIN) == 7


def test_a_part_that_falls_off_the_table_is_lost_and_returns_to_the_pool(
    cell: Flow,
) -> None:
    stray = cell.parked()[0]
    cell.put(stray, 1.2, 0.4, 0.2)

    cell.run(1.0)

    assert cell.flow.zones[stray] == PartZone.PARKED
    assert cell.flow.lost == 1


def test_taking_clears_the_outfeed_only(cell: Flow) -> None:
    placed = cell.parked()[0]
    cell.put(placed, 0.22, 0.46, 0.09)
    cell.run(0.5)
    assert cell.flow.zones[placed] == PartZone.OUTFEED

    cell.order = replace(NO_ORDER, take_id=4)
    cell.run(0.1)

    assert cell.flow.zones[placed] == PartZone.PARKED
    assert cell.flow.count(PartZone.OUTFEED) == 0
    assert cell.flow.count(PartZone.BIN) == 6


def test_a_part_between_the_fingers_is_not_taken_from_above_the_plate(
    cell: Flow,
) -> None:
    held = cell.parked()[0]
    cell.put(held, 0.22, 0.46, 0.09)
    cell.run(0.1, grasped_part=held)
    assert cell.flow.zones[held] == PartZone.GRIPPER

    cell.order = replace(NO_ORDER, take_id=4)
    cell.run(0.1, grasped_part=held)

    assert cell.flow.zones[held] == PartZone.GRIPPER


def test_the_first_order_seen_is_history_and_does_nothing(cell: Flow) -> None:
    cell.order = LineOrder(refill_id=55, refill_count=20, take_id=99)

    cell.run(1.0)

    assert cell.flow.count(PartZone.BIN) == 6
    assert cell.flow.refills == 0


def test_a_refill_of_a_full_bin_stirs_it(cell: Flow) -> None:
    cell.run(0.1)
    before = cell.scene.data.qpos.copy()
    cell.order = replace(NO_ORDER, refill_id=8, refill_count=6)

    cell.run(3.0)

    assert cell.flow.refills == 1
    assert cell.flow.count(PartZone.BIN) >= 5
    assert not np.allclose(before, cell.scene.data.qpos, atol=0.01)


def test_dropped_parts_come_in_another_colour(cell: Flow) -> None:
    colours = cell.scene.model.geom_rgba.copy()
    cell.run(0.1)
    cell.order = replace(NO_ORDER, refill_id=8, refill_count=10)

    cell.run(1.5)

    changed = np.flatnonzero((colours != cell.scene.model.geom_rgba).any(axis=1))
    owners = {
        index
        for index, geoms in enumerate(cell.scene.part_handles.geoms)
        if set(geoms.tolist()) & set(changed.tolist())
    }
    assert len(owners) == 4
