"""Two parts at once, or a wrong one, go back to the bin and are never placed."""

import itertools

from cell.supervisor.states import State
from tests.fakes.policy import make_chunk
from tests.fakes.supervised_cell import SupervisedCell

TOO_WIDE_M = 0.081
TOO_HEAVY_N = 19.0


def outcomes(cell: SupervisedCell) -> list[object]:
    return [fields["outcome"] for event, fields in cell.events if event == "attempt"]


async def test_what_is_too_wide_is_given_back_uncounted_and_the_next_is_placed() -> (
    None
):
    cell = SupervisedCell()
    cell.fingers.finds_m = [TOO_WIDE_M, 0.03]
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1, 60.0)
        figures = cell.supervisor.statistics.compute_figures()

    assert outcomes(cell)[0] == "wrong part"
    assert ("part_given_back", {}) in cell.events
    details = [
        fields["detail"] for event, fields in cell.events if event == "wrong_part"
    ]
    assert details == ["width 81.0 mm, parts have 4.5 to 78.0 mm"]
    assert (figures["picked"], figures["placed"], figures["failed"]) == (1, 1, 1)
    assert figures["manual_assists"] == 0


async def test_what_is_too_heavy_is_given_back() -> None:
    cell = SupervisedCell()
    is_heavy = True
    cell.servo.read_pull_n = lambda: (
        TOO_HEAVY_N if is_heavy and cell.fingers.holding_m else 0.0
    )
    async with cell.running():
        await cell.start()
        await cell.until(lambda: ("part_given_back", {}) in cell.events, 60.0)
        is_heavy = False
        await cell.until(lambda: cell.supervisor.statistics.placed == 1, 60.0)

    assert outcomes(cell)[0] == "wrong part"
    (detail,) = [f["detail"] for event, f in cell.events if event == "wrong_part"]
    assert "mass 1.94 kg" in str(detail)


async def test_a_heavy_part_within_its_band_is_placed() -> None:
    cell = SupervisedCell()
    cell.servo.read_pull_n = lambda: 14.0 if cell.fingers.holding_m else 0.0
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1, 60.0)

    assert outcomes(cell) == [] or outcomes(cell)[0] == "placed"
    assert not [event for event, _ in cell.events if event == "wrong_part"]


async def test_wrong_parts_in_a_row_end_in_held_with_the_reason() -> None:
    cell = SupervisedCell()
    cell.fingers.default_find_m = TOO_WIDE_M
    spots = itertools.count()
    cell.policy.script = [
        lambda stamp: make_chunk(stamp, (-0.30 + 0.03 * next(spots), 0.48, 0.035))
        for _ in range(20)
    ]
    async with cell.running():
        await cell.start()
        await cell.until_state(State.HELD, limit_s=200.0)
        tree = cell.tree()

    assert tree["cause"] == "pick_failed_repeatedly"
    assert "6 x wrong part" in tree["state_reason"]
    assert cell.supervisor.statistics.placed == 0
