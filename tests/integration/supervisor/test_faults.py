"""What the supervised cell does when something breaks, and what it leaves to people."""

import asyncio
import json
from collections.abc import Callable

import pytest

from cell.contracts.plc import PlcOutputs
from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.servo import HoldReason, MotionMode
from cell.supervisor.reaction_desk import MOTION_STATES
from cell.supervisor.states import Command, State
from cell.supervisor.task_watch import TaskEndedError
from tests.fakes.policy import fail_with
from tests.fakes.supervised_cell import MemoryStatus, SupervisedCell

Breakage = Callable[[SupervisedCell], None]


async def until_moving(cell: SupervisedCell) -> None:
    """Wait until the arm moves."""
    travelled = cell.servo.travelled_rad
    await cell.until(lambda: cell.servo.travelled_rad > travelled + 0.05)


def protective_stop(cell: SupervisedCell) -> None:
    cell.servo.safety_bits = 1 << SafetyBit.PROTECTIVE_STOP
    cell.servo.fault(HoldReason.PROTECTIVE_STOP)


def link_loss(cell: SupervisedCell) -> None:
    cell.servo.fault(HoldReason.LINK_LOST)


def servo_death(cell: SupervisedCell) -> None:
    cell.servo.is_dead = True


def line_loss(cell: SupervisedCell) -> None:
    cell.line.is_reachable = False


def line_freeze(cell: SupervisedCell) -> None:
    cell.line.heartbeat_is_frozen = True


def line_restart(cell: SupervisedCell) -> None:
    cell.line.restart()


def repair(cell: SupervisedCell) -> None:
    """Make everything well again, as if by itself."""
    cell.servo.safety_bits = 1 << SafetyBit.NORMAL
    if cell.servo.is_dead:
        cell.servo.restart()
    cell.line.is_reachable = True
    cell.line.heartbeat_is_frozen = False


BREAKAGES = [
    (protective_stop, "protective_stop"),
    (link_loss, "robot_link_lost"),
    (servo_death, "servo_lost"),
    (line_loss, "plc_lost"),
    (line_freeze, "plc_lost"),
    (line_restart, "plc_lost"),
]


@pytest.mark.parametrize(("break_it", "cause"), BREAKAGES)
async def test_a_breakage_while_moving_aborts_and_stays_aborted(
    break_it: Breakage, cause: str
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        broken_ns = cell.clock.now_ns()

        break_it(cell)
        await cell.until_state(State.ABORTING, State.ABORTED)
        reacted_s = (cell.clock.now_ns() - broken_ns) / 1e9
        await cell.until_state(State.ABORTED)
        repair(cell)
        travelled = cell.servo.travelled_rad
        await cell.pass_s(10.0)

        assert reacted_s <= 0.30
        assert cell.supervisor.state is State.ABORTED
        assert cell.servo.travelled_rad == travelled
        assert cell.tree()["cause"] in (cause, "plc_restarted")
        assert cell.tree()["fault_code"] != 0
        assert cell.tree()["remedy"]


@pytest.mark.parametrize(("break_it", "cause"), BREAKAGES)
async def test_a_person_brings_the_cell_back_with_acknowledge_and_three_commands(
    break_it: Breakage, cause: str
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        break_it(cell)
        await cell.until_state(State.ABORTED)
        repair(cell)
        await cell.pass_s(3.0)

        await cell.command(Command.CLEAR)
        assert cell.supervisor.state is State.ABORTED, "not acknowledged yet"
        await cell.acknowledge()
        await cell.command(Command.CLEAR)
        await cell.until_state(State.STOPPED)
        await cell.command(Command.RESET)
        await cell.until_state(State.IDLE)
        travelled = cell.servo.travelled_rad
        await cell.pass_s(2.0)
        assert cell.servo.travelled_rad == travelled, "nothing moves in Resetting, Idle"
        await cell.command(Command.START)
        await cell.until_state(State.EXECUTE)

        placed = cell.supervisor.statistics.placed
        await cell.until(lambda: cell.supervisor.statistics.placed > placed)


async def test_a_lost_line_holds_a_waiting_cell_and_its_return_changes_nothing() -> (
    None
):
    cell = SupervisedCell()
    cell.set_line(bin_present=False)
    async with cell.running():
        await cell.start()
        await cell.until_state(State.SUSPENDED)

        line_loss(cell)
        await cell.until_state(State.HELD)
        repair(cell)
        cell.set_line(bin_present=True)
        await cell.pass_s(10.0)

        assert cell.supervisor.state is State.HELD
        assert cell.servo.travelled_rad == 0.0
        await cell.command(Command.UNHOLD)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


async def test_a_lost_process_holds_at_once_and_ends_by_itself() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.travelled_rad > 0.2)
        cell.lost_process = "policy"
        await cell.pass_s(0.06)
        assert cell.supervisor.state in (State.HOLDING, State.HELD)
        travelled_rad = cell.servo.travelled_rad
        await cell.pass_s(3.0)
        assert cell.servo.travelled_rad == travelled_rad
        assert cell.tree()["cause"] == "process_lost"
        cell.lost_process = ""

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


@pytest.mark.parametrize("is_first_held", [False, True])
async def test_a_process_that_is_given_up_latches_and_no_command_leads_on(
    is_first_held: bool,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.travelled_rad > 0.2)
        if is_first_held:
            cell.lost_process = "camera"
            await cell.until_state(State.HELD)
        cell.lost_process, cell.given_up = "", "camera"
        await cell.until_state(State.ABORTED)
        travelled_rad = cell.servo.travelled_rad
        assert cell.tree()["ladder"]["rung_name"] == "LATCH"
        assert cell.tree()["fault_code"] == 702
        assert "stays down: camera" in cell.tree()["state_reason"]

        await cell.command(Command.CLEAR)
        await cell.pass_s(5.0)
        assert cell.supervisor.state is State.ABORTED
        await cell.acknowledge()
        for command in (Command.CLEAR, Command.RESET, Command.START, Command.UNHOLD):
            await cell.command(command)
            await cell.pass_s(5.0)

        assert cell.supervisor.state not in MOTION_STATES
        assert cell.servo.travelled_rad == travelled_rad


async def test_a_cell_that_is_at_rest_is_not_started_without_a_process_given_up() -> (
    None
):
    cell = SupervisedCell()
    cell.given_up = "policy ended too often, or for good"
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        await cell.pass_s(60.0)
        await cell.command(Command.START)

        assert cell.supervisor.state is not State.EXECUTE
        assert cell.servo.travelled_rad == 0.0
        said = "; ".join(cell.tree()["permissives"])
        assert "stays down (policy ended too often, or for good)" in said


async def test_a_hold_commanded_while_held_is_not_ended_by_the_returning_camera() -> (
    None
):
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.camera_is_live = False
        await cell.until_state(State.HELD)
        await cell.command(Command.HOLD)
        await cell.until(lambda: cell.tree()["since_then"] == ["commanded"], 0.5)
        travelled_rad = cell.servo.travelled_rad
        cell.camera_is_live = True
        await cell.pass_s(8.0)
        assert cell.supervisor.state is State.HELD
        assert cell.servo.travelled_rad == travelled_rad

        await cell.command(Command.UNHOLD)
        await cell.until(lambda: cell.supervisor.statistics.placed >= 1)


async def test_a_suspend_commanded_while_starved_is_not_ended_by_the_refill() -> None:
    cell = SupervisedCell()
    async with cell.running():
        cell.set_line(bin_present=False)
        await cell.start()
        await cell.until_state(State.SUSPENDED)
        await cell.command(Command.SUSPEND)
        cell.set_line(bin_present=True)
        await cell.pass_s(5.0)
        assert cell.supervisor.state is State.SUSPENDED

        await cell.command(Command.UNSUSPEND)
        await cell.until(lambda: cell.supervisor.statistics.placed >= 1)


async def test_a_part_in_hand_waits_at_home_for_the_permit_to_give_it_back() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "transferring")
        await cell.command(Command.HOLD)
        await cell.until_state(State.HELD)
        cell.set_line(zone_permit=False)
        await cell.command(Command.UNHOLD)
        await cell.pass_s(8.0)
        # The line may wait for the arm to be away before it gives the permit again.
        assert not cell.told().in_bin_zone
        assert cell.supervisor.state is State.UNHOLDING
        cell.set_line(zone_permit=True)

        await cell.until(lambda: ("part_given_back", {}) in cell.events)
        await cell.until_state(State.EXECUTE)


async def test_a_servo_process_lost_during_unhold_wants_another_unhold() -> None:
    cell = SupervisedCell()
    # Nothing to pick, so the arm stands at home.
    cell.set_line(bin_present=False)
    async with cell.running():
        await cell.start()
        await cell.until_state(State.SUSPENDED)
        cell.servo.restart()
        await cell.until_state(State.HELD)
        await cell.command(Command.UNHOLD)
        await cell.until_state(State.UNHOLDING)
        assert cell.servo.latch is HoldReason.NOT_ARMED
        cell.servo.restart()

        await cell.until_state(State.HELD, State.EXECUTE)
        await cell.pass_s(20.0)
        assert cell.supervisor.state is State.HELD
        assert cell.tree()["cause"] in ("servo_lost", "arm_not_released")
        assert cell.servo.travelled_rad == 0.0
        await cell.command(Command.UNHOLD)
        await cell.until_state(State.EXECUTE)


async def test_a_part_is_not_given_back_where_no_bin_is() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "transferring")
        await cell.command(Command.HOLD)
        await cell.until_state(State.HELD)
        cell.set_line(bin_present=False)
        await cell.command(Command.UNHOLD)
        await cell.until_state(State.HELD, limit_s=60.0)

        assert cell.tree()["cause"] == "no_way_back"
        assert ("part_given_back", {}) not in cell.events


async def test_a_cause_that_joins_a_self_clearing_hold_is_named_and_keeps_it() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.camera_is_live = False
        await cell.until_state(State.HELD)
        line_loss(cell)
        await cell.pass_s(1.0)
        repair(cell)
        cell.camera_is_live = True

        await cell.pass_s(5.0)

        tree = cell.tree()
        assert tree["state"] == "HELD"
        assert tree["cause"] == "camera_stale"
        assert tree["since_then"] == ["plc_lost"]
        assert "line PLC" in tree["state_reason"]


async def test_a_strobe_left_up_across_a_lost_link_is_no_command() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.pass_s(0.5)
        line_loss(cell)
        await cell.pass_s(0.5)
        cell.line.request_command(int(Command.RESET))
        repair(cell)

        await cell.pass_s(5.0)

        assert cell.supervisor.state is State.STOPPED


async def test_a_command_is_acknowledged_until_its_strobe_falls() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.pass_s(0.5)
        acknowledged = []
        cell.line.request_command(int(Command.RESET))
        while cell.line.inputs.command_request:
            await cell.step()
            acknowledged.append(cell.told().command_ack)
        await cell.pass_s(0.2)

        assert acknowledged[-1] == Command.RESET
        assert cell.told().command_ack == 0


async def test_a_refused_command_is_not_acknowledged() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.pass_s(0.5)

        await cell.command(Command.START)

        assert cell.told().command_ack == 0
        assert any(event == "command_refused" for event, _ in cell.events)


async def test_a_lost_gripper_holds_and_unhold_activates_it_again() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        activations = cell.fingers.activations
        cell.fingers.is_reachable = False
        await cell.until_state(State.HELD)
        assert cell.tree()["cause"] == "gripper_lost"

        cell.fingers.is_reachable = True
        await cell.pass_s(3.0)
        assert cell.supervisor.state is State.HELD
        await cell.command(Command.UNHOLD)
        await cell.until_state(State.EXECUTE)

        assert cell.fingers.activations == activations + 1


async def test_after_unhold_a_part_in_hand_goes_back_to_the_bin() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.picked == 1)
        await cell.command(Command.HOLD)
        await cell.until_state(State.HELD)
        assert cell.fingers.holding_m is not None

        await cell.command(Command.UNHOLD)
        await cell.until(lambda: cell.fingers.holding_m is None)

        x_m, y_m, _ = cell.servo.base_from_tcp().position_m
        assert abs(x_m - -0.20) < 0.05
        assert abs(y_m - 0.48) < 0.05
        assert cell.supervisor.statistics.placed == 0
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


async def test_coming_back_starts_straight_up_and_slowly() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.base_from_tcp().position_m[2] < 0.06)
        await cell.command(Command.HOLD)
        await cell.until_state(State.HELD)
        cell.fingers.drop()
        orders = len(cell.servo.orders)
        low = cell.servo.base_from_tcp().position_m

        await cell.command(Command.UNHOLD)
        await cell.until_state(State.EXECUTE)

    moves = [o for o in cell.servo.orders[orders:] if o.mode is not MotionMode.HOLD]
    assert moves[0].mode is MotionMode.MOVE_LINEAR
    assert moves[0].base_from_tcp.position_m[:2] == pytest.approx(low[:2], abs=1e-3)
    assert moves[0].base_from_tcp.position_m[2] > low[2] + 0.05
    assert all(move.speed_ratio <= 0.3 + 1e-9 for move in moves[:2])


async def test_a_zone_permit_withdrawn_over_the_bin_lets_the_arm_leave() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.base_from_tcp().position_m[2] < 0.06)
        cell.set_line(zone_permit=False)

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        await cell.until_state(State.SUSPENDED)

        assert cell.tree()["cause"] == "zone_not_permitted"
        assert not cell.told().in_bin_zone


async def test_an_arm_that_is_not_seen_any_more_keeps_the_zone() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.base_from_tcp().position_m[2] < 0.06)
        servo_death(cell)

        await cell.until_state(State.ABORTED)
        await cell.pass_s(3.0)

        assert cell.told().in_bin_zone


async def test_a_failed_reset_is_no_fault_and_can_be_tried_again() -> None:
    cell = SupervisedCell()
    cell.policy.is_up = False
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        await cell.until_state(State.STOPPED, limit_s=40.0)
        await cell.pass_s(0.12)
        assert cell.told().fault_code == 0
        assert "policy" in cell.tree()["state_reason"]

        cell.policy.is_up = True
        await cell.command(Command.RESET)

        await cell.until_state(State.IDLE)


async def test_stop_brings_the_arm_to_rest_and_the_cell_to_stopped() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)

        await cell.command(Command.STOP)
        await cell.until_state(State.STOPPED)

        assert cell.servo.orders[-1].mode is MotionMode.HOLD
        travelled = cell.servo.travelled_rad
        await cell.pass_s(3.0)
        assert cell.servo.travelled_rad == travelled
        assert cell.tree()["state_reason"] == "Stop was commanded"


@pytest.mark.parametrize("at", ["stopping", "stopped", "resetting", "idle"])
async def test_joints_that_went_astray_are_looked_at_wherever_the_cell_stands(
    at: str,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        cell.supervisor.submit(Command.STOP, "anna")
        await cell.until_state(State.STOPPING)
        if at != "stopping":
            await cell.until_state(State.STOPPED)
        if at in ("resetting", "idle"):
            cell.supervisor.submit(Command.RESET, "anna")
            await cell.until_state(State.RESETTING)
        if at == "idle":
            await cell.until_state(State.IDLE)

        assert cell.supervisor.state.name.lower() == at
        cell.servo.fault(HoldReason.TRACKING_ERROR)
        await cell.until_state(State.ABORTED)
        travelled = cell.servo.travelled_rad
        for command in (Command.CLEAR, Command.RESET, Command.START):
            await cell.command(command)
            await cell.pass_s(1.0)
        assert cell.tree()["state"] == "ABORTED", "nobody has looked"
        assert cell.servo.travelled_rad == travelled

        await cell.acknowledge()
        await cell.command(Command.CLEAR)
        # The latch stays until the robot is armed anew, and is no news any more.
        await cell.until_state(State.STOPPED)
        await cell.pass_s(2.0)
        assert cell.tree()["state"] == "STOPPED"
        # Nor is it when the servo process was not heard for a while.
        await be_silent(cell, 0.4)
        await cell.pass_s(1.0)
        assert cell.tree()["state"] == "STOPPED"
        cell.servo.trouble = HoldReason.ROBOT_NOT_READY
        await cell.command(Command.RESET)
        await be_silent(cell, 0.4)
        await cell.pass_s(1.0)
        assert cell.tree()["state"] == "RESETTING"
        cell.servo.trouble = HoldReason.NONE
        await cell.until_state(State.IDLE)
        await cell.command(Command.START)
        await cell.until_state(State.EXECUTE)


async def be_silent(cell: SupervisedCell, duration_s: float) -> None:
    cell.servo.is_dead = True
    await cell.pass_s(duration_s)
    cell.servo.is_dead = False


async def test_a_robot_that_is_switched_off_at_rest_needs_no_acknowledgement() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.command(Command.STOP)
        await cell.until_state(State.STOPPED)

        cell.servo.robot_mode = RobotMode.POWER_OFF
        cell.servo.fault(HoldReason.ROBOT_NOT_READY)
        await cell.pass_s(2.0)
        assert cell.supervisor.state is State.STOPPED
        cell.servo.robot_mode = RobotMode.RUNNING
        await cell.pass_s(2.0)
        assert cell.supervisor.state is State.STOPPED
        await cell.command(Command.RESET)
        await cell.until_state(State.IDLE)


async def test_a_robot_that_boots_late_is_armed_by_the_same_reset() -> None:
    cell = SupervisedCell()
    cell.servo.trouble = HoldReason.ROBOT_NOT_READY
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        await cell.pass_s(5.0)
        assert cell.supervisor.state is State.RESETTING

        cell.servo.trouble = HoldReason.NONE

        await cell.until_state(State.IDLE)


async def test_a_reset_that_nobody_answered_does_not_lie_in_wait() -> None:
    cell = SupervisedCell()
    cell.servo.is_dead = True
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        await cell.until_state(State.STOPPED, limit_s=40.0)
        assert cell.tree()["cause"] == "reset_failed"

        cell.servo.restart()
        await cell.pass_s(5.0)

        assert cell.servo.latch is HoldReason.NOT_ARMED


async def test_a_ready_arm_is_never_given_a_release_to_keep() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.command(Command.STOP)
        await cell.until_state(State.STOPPED)
        await cell.command(Command.RESET)
        await cell.until_state(State.IDLE)

        cell.servo.fault(HoldReason.LINK_LOST)
        await cell.pass_s(5.0)

        assert cell.servo.latch is HoldReason.LINK_LOST
        assert cell.supervisor.state is State.STOPPED


@pytest.mark.parametrize("at", ["EXECUTE", "SUSPENDED", "HELD", "ABORTED", "UNHOLDING"])
async def test_a_supervisor_cut_off_in_its_work_comes_back_aborted(at: str) -> None:
    text = json.dumps({"state": at, "placed": 41, "attempts": 44, "first_tries": 43})
    cell = SupervisedCell(status=MemoryStatus(text))
    async with cell.running():
        await cell.pass_s(1.0)

        tree = cell.tree()
        assert tree["state"] == "ABORTED"
        assert tree["cause"] == "supervisor_restarted"
        assert at in tree["state_reason"]
        assert tree["placed"] == 41
        assert tree["manual_assists"] == 1
        await cell.command(Command.CLEAR)
        assert cell.supervisor.state is State.ABORTED
        await cell.acknowledge()
        await cell.command(Command.CLEAR)
        await cell.until_state(State.STOPPED)


class NotedStatus(MemoryStatus):
    """Puts each document among the records, so that the order of both is seen."""

    def __init__(self, text: str, records: list[tuple[str, dict[str, object]]]) -> None:
        super().__init__(text)
        self._records = records

    def write(self, text: str) -> None:
        """Replace the document."""
        super().write(text)
        self._records.append(("document", {"state": json.loads(text)["state"]}))


async def test_a_new_life_records_once_that_its_first_status_is_out() -> None:
    records: list[tuple[str, dict[str, object]]] = []
    text = json.dumps({"state": "EXECUTE"})
    cell = SupervisedCell(status=NotedStatus(text, records), events=records)
    async with cell.running():
        await cell.pass_s(1.0)

    names = [name for name, _ in records]
    assert names.count("status_shown") == 1
    shown = names.index("status_shown")
    assert "rung" in names[:shown]
    assert names.index("document") == shown - 1
    assert records[shown][1] == records[shown - 1][1] == {"state": "ABORTED"}


async def test_without_a_past_the_cell_is_stopped() -> None:
    cell = SupervisedCell(status=MemoryStatus(None))

    assert cell.supervisor.state is State.STOPPED


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "7", '{"state": "NONSENSE"}', '{"placed": 41}']
)
async def test_a_past_that_cannot_be_read_is_not_that_of_a_cell_at_rest(
    text: str,
) -> None:
    cell = SupervisedCell(status=MemoryStatus(text))
    async with cell.running():
        await cell.pass_s(1.0)

        assert cell.supervisor.state is State.ABORTED
        assert cell.tree()["cause"] == "supervisor_restarted"
        assert cell.tree()["state_reason"].startswith(
            "the supervisor before this one did not end at rest: what it left cannot"
        )
        await cell.command(Command.CLEAR)
        assert cell.supervisor.state is State.ABORTED, "not acknowledged yet"


@pytest.mark.parametrize("at", ["STOPPED", "IDLE", "COMPLETED", "RESETTING"])
async def test_a_supervisor_that_ended_at_rest_comes_back_stopped(at: str) -> None:
    cell = SupervisedCell(status=MemoryStatus(json.dumps({"state": at})))

    assert cell.supervisor.state is State.STOPPED


async def test_a_killed_supervisor_never_moves_the_arm_in_its_next_life() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        text = cell.status.text
    cell.status.text = text  # what a SIGKILL would have left

    cell.supervisor = cell.make_supervisor()
    travelled = cell.servo.travelled_rad
    async with cell.running():
        await cell.pass_s(10.0)

        assert cell.supervisor.state is State.ABORTED
        assert cell.servo.travelled_rad == travelled


async def test_orders_of_a_new_life_are_newer_than_those_of_the_old_one() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
    before = cell.servo.read_command()
    assert before is not None

    cell.supervisor = cell.make_supervisor()
    async with cell.running():
        await cell.pass_s(0.5)

    after = cell.servo.read_command()
    assert after is not None
    assert after.command_id > before.command_id
    assert after.arm_id == before.arm_id


async def run_until_a_task_dies(cell: SupervisedCell) -> None:
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        cell.policy.script = [fail_with(ZeroDivisionError("a defect"))]
        await cell.pass_s(20.0)


async def test_any_dying_task_ends_the_run_with_the_arm_on_hold() -> None:
    cell = SupervisedCell()

    with pytest.raises(ExceptionGroup) as caught:
        await run_until_a_task_dies(cell)

    assert caught.group_contains(ZeroDivisionError)
    last = cell.servo.read_command()
    assert last is not None
    assert last.mode is MotionMode.HOLD
    assert cell.tree()["state"] == "EXECUTE", "so that the next life starts aborted"


@pytest.mark.parametrize("name", ["plc-exchange", "gripper", "proposals", "guardian"])
async def test_a_task_that_ends_in_silence_ends_the_run(name: str) -> None:
    await expect_end_without(name)


async def test_work_that_is_cut_off_in_silence_ends_the_run() -> None:
    await expect_end_without("work-produce")


async def expect_end_without(name: str) -> None:
    """Cancel a task behind the supervisor's back, and expect the end of the run."""
    cell = SupervisedCell()

    with pytest.raises(ExceptionGroup) as caught:
        await run_until_cancelled(cell, name)

    assert caught.group_contains(TaskEndedError)
    assert ("task_ended", {"task": name}) in cell.events
    last = cell.servo.read_command()
    assert last is not None
    assert last.mode is MotionMode.HOLD
    assert cell.tree()["state"] == "EXECUTE", "so that the next life starts aborted"


async def run_until_cancelled(cell: SupervisedCell, name: str) -> None:
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        (task,) = [t for t in asyncio.all_tasks() if t.get_name() == name]
        task.cancel()
        await cell.pass_s(1.0)


async def test_cancellation_leaves_the_arm_on_hold() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)

    last = cell.servo.read_command()
    assert last is not None
    assert last.mode is MotionMode.HOLD


async def test_an_orderly_end_stops_and_tells_the_line() -> None:
    cell = SupervisedCell()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(cell.supervisor.run())
        cell._task = run
        await cell.start()
        await until_moving(cell)
        cell.supervisor.request_end()
        while not run.done():
            await cell.step()

    assert cell.tree()["state"] == "STOPPED"
    assert cell.told().state == State.STOPPED


async def test_a_line_that_resets_at_once_begins_nothing_while_the_cell_ends() -> None:
    cell = SupervisedCell()
    async with asyncio.TaskGroup() as tasks:
        run = cell._task = tasks.create_task(cell.supervisor.run())
        await cell.start()
        cell.supervisor.request_end()
        await cell.until_state(State.STOPPED)
        cell.line.request_command(int(Command.RESET))
        while not run.done():
            await cell.step()

    assert State.RESETTING not in cell.visited[cell.visited.index(State.STOPPING) :]
    assert cell.tree()["state"] == "STOPPED"


async def test_a_hung_decision_loop_ends_the_heartbeat_and_lets_the_motion_lapse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        forever = asyncio.Event()
        real_sleep = cell.clock.sleep_until_ns

        async def hang_for_decisions(deadline_ns: int) -> None:
            task = asyncio.current_task()
            if task is cell._task:
                await forever.wait()
            await real_sleep(deadline_ns)

        monkeypatch.setattr(cell.clock, "sleep_until_ns", hang_for_decisions)
        await cell.pass_s(0.15)
        beat, beats = cell.told().heartbeat, cell.beats
        travelled = cell.servo.travelled_rad
        await cell.pass_s(2.0)

        assert cell.told().heartbeat == beat
        assert cell.beats == beats
        assert cell.servo.travelled_rad == travelled


async def test_a_supervisor_that_stood_still_does_not_go_on_where_it_was() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_moving(cell)
        cell.clock.advance_s(2.0)  # stopped and continued from outside
        travelled = cell.servo.travelled_rad

        await cell.pass_s(5.0)

        assert cell.supervisor.state in (State.HELD, State.ABORTED)
        assert cell.servo.travelled_rad == pytest.approx(travelled, abs=0.01)


async def test_in_manual_mode_nothing_can_be_started() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.pass_s(0.5)
        cell.set_line(unit_mode=3, unit_mode_request=True)
        await cell.pass_s(0.3)
        await cell.command(Command.RESET)
        await cell.until_state(State.IDLE)

        await cell.command(Command.START)

        assert cell.supervisor.state is State.IDLE
        assert cell.tree()["mode"] == "MANUAL"


async def test_the_mode_does_not_change_in_execute() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.set_line(unit_mode=2, unit_mode_request=True)

        await cell.pass_s(0.5)

        assert cell.tree()["mode"] == "PRODUCTION"


async def test_a_line_that_never_takes_the_part_suspends_with_that_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = SupervisedCell()
    real_scan = cell.line.scan

    def scan_without_taking(outputs: PlcOutputs) -> None:
        real_scan(outputs)
        cell.set_line(part_taken=False)

    monkeypatch.setattr(cell.line, "scan", scan_without_taking)
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        await cell.until(lambda: cell.tree().get("cause") == "blocked")
        await cell.pass_s(12.0)

        assert cell.supervisor.state is State.SUSPENDED
        assert cell.supervisor.statistics.placed == 1
        assert cell.supervisor.statistics.manual_assists == 0


async def test_no_start_order_of_the_peers_matters() -> None:
    cell = SupervisedCell()
    cell.line.is_reachable = False
    cell.fingers.is_reachable = False
    cell.servo.is_dead = True
    cell.policy.is_up = False
    cell.camera_is_live, cell.frame_stamp_ns = False, None
    async with cell.running():
        await cell.pass_s(3.0)
        assert len(cell.tree()["permissives"]) == 5

        cell.policy.is_up = True
        cell.fingers.is_reachable = True
        await cell.pass_s(1.0)
        cell.camera_is_live = True
        cell.servo.restart()
        await cell.pass_s(1.0)
        cell.line.is_reachable = True
        await cell.pass_s(3.0)

        assert cell.tree()["permissives"] == []
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


@pytest.mark.parametrize(
    ("reason", "is_asked"),
    [(HoldReason.ARM_STATE_STALE, True), (HoldReason.COMMAND_WITHHELD, False)],
)
async def test_the_line_is_asked_to_slow_down_for_holds_that_nobody_ordered(
    reason: HoldReason, is_asked: bool
) -> None:
    cell = SupervisedCell()
    asked: list[bool] = []
    async with cell.running():
        await cell.start()
        cell.servo.refusals = [reason]
        await cell.until(lambda: not cell.servo.refusals)
        for _ in range(60):
            await cell.step()
            asked.append(cell.told().slow_down_request)

    assert any(asked) is is_asked


async def test_a_reset_waits_for_a_servo_process_that_still_compiles() -> None:
    cell = SupervisedCell()
    cell.servo.unstart()
    cell.supervisor = cell.make_supervisor()
    async with cell.running():
        await cell.pass_s(0.5)

        await cell.command(Command.RESET)
        await cell.pass_s(80.0)

        assert cell.supervisor.state is State.RESETTING
        missing = " ".join(cell.tree()["permissives"])
        assert "its first start on a computer takes a minute" in missing
        cell.servo.restart()
        await cell.until_state(State.IDLE)
