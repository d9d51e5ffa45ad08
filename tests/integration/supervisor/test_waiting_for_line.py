"""A cell that waits for the line says what it waits for now."""

from dataclasses import replace

from cell.contracts.plc import PlcOutputs
from cell.drivers.plc.sim import SimLine
from cell.supervisor.states import Command, State
from tests.fakes.policy import see_empty_bin
from tests.fakes.supervised_cell import SupervisedCell

TOLD_S = 0.3


class DeafLine(SimLine):
    """A line that does not answer part_done."""

    is_deaf = True

    def scan(self, outputs: PlcOutputs) -> None:
        """Run one scan."""
        is_heard = outputs.part_done and not self.is_deaf
        super().scan(replace(outputs, part_done=is_heard))
        self.outputs = outputs


def make_deaf_cell() -> tuple[SupervisedCell, DeafLine]:
    cell = SupervisedCell()
    line = DeafLine(cell.line.inputs, cell.line.outputs)
    cell.line = line
    return cell, line


def causes_told(cell: SupervisedCell) -> list[object]:
    return [fields["cause"] for event, fields in cell.events if event == "waits_for"]


async def suspend_without_permit(cell: SupervisedCell) -> None:
    cell.set_line(zone_permit=False)
    await cell.start()
    await cell.until_state(State.SUSPENDED)
    await cell.pass_s(TOLD_S)
    assert cell.tree()["cause"] == "zone_not_permitted"
    assert not cell.told().starved


async def test_a_permit_that_comes_back_over_an_empty_place_leaves_starved() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await suspend_without_permit(cell)
        seen = len(cell.visited)

        cell.set_line(zone_permit=True, bin_present=False)
        await cell.pass_s(TOLD_S)

        tree = cell.tree()
        assert cell.supervisor.state is State.SUSPENDED
        assert len(cell.visited) == seen
        assert cell.told().starved
        assert (tree["cause"], tree["remedy"]) == ("starved", "refill the bin")
        assert tree["stacklight"]["amber"] == "flashing"
        assert causes_told(cell) == ["starved"]
        assert cell.supervisor.statistics.stops == {"zone_not_permitted": 1}

        cell.set_line(bin_present=True)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert not cell.told().starved


async def test_a_commanded_suspend_stays_one_whatever_the_line_does() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await suspend_without_permit(cell)
        await cell.command(Command.SUSPEND)

        cell.set_line(zone_permit=True, bin_present=False)
        await cell.pass_s(TOLD_S)
        assert cell.told().starved

        cell.set_line(bin_present=True)
        await cell.pass_s(3.0)
        assert cell.supervisor.state is State.SUSPENDED
        assert not cell.told().starved
        assert "commanded" in cell.tree()["since_then"]

        await cell.command(Command.UNSUSPEND)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


async def test_what_a_commanded_suspend_waits_for_is_no_obstacle() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.command(Command.SUSPEND)
        await cell.until_state(State.SUSPENDED)
        cell.set_line(outfeed_clear=False, zone_permit=False)
        await cell.pass_s(2.0)

        assert cell.tree()["cause"] == "commanded"
        assert causes_told(cell) == []


async def test_a_cell_that_completes_on_an_empty_bin_asks_for_no_refill() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_empty_bin] * 40
    async with cell.running():
        await cell.start()
        await cell.until_state(State.SUSPENDED)
        await cell.pass_s(TOLD_S)
        assert cell.told().refill_request
        assert cell.told().starved

        await cell.command(Command.COMPLETE)
        await cell.until_state(State.COMPLETED)
        await cell.pass_s(TOLD_S)

        assert not cell.told().refill_request
        assert not cell.told().starved


async def until_unanswered(cell: SupervisedCell) -> None:
    """Go on until the cell stands over the outfeed with the part after the first."""
    await cell.start()
    await cell.until(lambda: cell.supervisor.statistics.placed == 1)
    await cell.until_state(State.SUSPENDED)
    await cell.pass_s(TOLD_S)
    assert cell.tree()["cause"] == "blocked"
    assert cell.told().fault_code == 0


async def test_a_line_that_does_not_answer_a_part_is_told_so_as_222() -> None:
    cell, line = make_deaf_cell()
    async with cell.running():
        await until_unanswered(cell)

        await cell.until(lambda: cell.told().fault_code != 0, 20.0)
        await cell.pass_s(TOLD_S)

        tree = cell.tree()
        assert cell.told().fault_code == 222
        assert cell.told().blocked
        assert tree["cause"] == "handshake_timeout"
        assert "part_taken" in tree["remedy"]
        assert cell.supervisor.state is State.SUSPENDED
        assert causes_told(cell) == ["handshake_timeout"]

        line.is_deaf = False
        await cell.until(lambda: cell.supervisor.statistics.placed == 2)
        assert cell.told().fault_code == 0


async def test_a_sensor_that_sees_the_part_nobody_took_hides_nothing() -> None:
    cell, _ = make_deaf_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        cell.set_line(outfeed_clear=False)

        await cell.until(lambda: cell.told().fault_code == 222, 30.0)
        await cell.pass_s(TOLD_S)
        assert cell.tree()["cause"] == "handshake_timeout"
