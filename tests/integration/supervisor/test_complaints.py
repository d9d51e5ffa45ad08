"""What a person and the line read when a device or a model is not what it should be."""

from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.servo import HoldReason, MotionMode
from cell.supervisor.states import Command, State
from tests.fakes.supervised_cell import SupervisedCell

IN_USE = Complaint(
    FaultCode.ARM_IN_USE, "arm: another client controls the robot at 10.0.0.1: end it"
)
NO_FEED = Complaint(
    FaultCode.DRIVER_UNREACHABLE, "overhead: no frame feed at 10.0.0.2:39401: start it"
)
SWAPPED = Complaint(FaultCode.CAMERA_WRONG_DEVICE, "overhead: serial 2, not 1")
GONE = Complaint(FaultCode.DRIVER_UNREACHABLE, "arm: the connection is gone")
OTHER = Complaint(
    FaultCode.ARM_WRONG_ROBOT, "arm: serial number 2, arm.serial_number is 1"
)
DAMAGED = Complaint(FaultCode.MODEL_INVALID, "models/m/model.onnx: damaged; restore it")


async def test_a_reset_refused_by_a_robot_in_use_says_who_and_what_to_do() -> None:
    cell = SupervisedCell()
    cell.servo.trouble = HoldReason.ROBOT_NOT_READY
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        cell.complaints.servo = IN_USE
        await cell.until_state(State.STOPPED, limit_s=60.0)
        await cell.pass_s(0.5)

        tree, told = cell.tree(), cell.told()

    assert IN_USE.text in tree["state_reason"]
    assert any(IN_USE.text in alarm for alarm in tree["alarms"])
    assert told.fault_code == 211


async def test_a_reset_that_waits_says_all_the_time_for_which_device() -> None:
    cell = SupervisedCell()
    cell.fingers.is_reachable = False
    silent = 0
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        await cell.until_state(State.RESETTING)
        await cell.pass_s(1.0)
        while cell.supervisor.state is State.RESETTING:
            silent += not cell.tree()["permissives"]
            assert not cell.told().ready
            await cell.step()
        await cell.pass_s(0.5)
        tree = cell.tree()

    assert silent == 0
    assert "gripper" in tree["state_reason"]


async def test_a_robot_that_is_free_again_is_armed_by_the_next_reset() -> None:
    cell = SupervisedCell()
    cell.servo.trouble = HoldReason.ROBOT_NOT_READY
    cell.complaints.servo = IN_USE
    async with cell.running():
        await cell.pass_s(0.5)
        await cell.command(Command.RESET)
        await cell.until_state(State.STOPPED, limit_s=60.0)
        cell.servo.trouble = HoldReason.NONE
        cell.complaints.servo = None
        await cell.command(Command.RESET)
        await cell.until_state(State.IDLE)
        await cell.pass_s(0.5)

        assert cell.told().fault_code == 0
        assert cell.tree()["alarms"] == []


async def test_a_camera_lost_in_production_is_named_with_its_address() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.camera_is_live = False
        cell.complaints.camera = NO_FEED
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)

        tree, told = cell.tree(), cell.told()
        cell.camera_is_live = True
        cell.complaints.camera = None
        await cell.until_state(State.EXECUTE)

    assert NO_FEED.text in tree["state_reason"]
    assert tree["cause"] == "camera_unreachable"
    assert told.fault_code == 200


async def test_a_robot_exchanged_in_production_is_named_and_never_released() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.servo.is_unlinked = True
        cell.complaints.servo = GONE
        await cell.until_state(State.ABORTED, State.HELD)
        cell.complaints.servo = OTHER
        await cell.pass_s(1.0)
        named = [fields for event, fields in cell.events if event == "also"]
        before = len(cell.servo.orders)
        await cell.acknowledge()
        for command in (Command.CLEAR, Command.RESET, Command.UNHOLD):
            await cell.command(command)
        await cell.pass_s(30.0)
        tree, told = cell.tree(), cell.told()

    assert {"cause": "arm_wrong_robot", "detail": OTHER.text} in named
    assert tree["state"] in ("ABORTED", "STOPPED", "HELD")
    assert any(OTHER.text in alarm for alarm in tree["alarms"])
    assert told.fault_code == 212
    moves = [order.mode for order in cell.servo.orders[before:]]
    assert MotionMode.MOVE_JOINT not in moves


async def test_with_a_damaged_model_the_cell_picks_and_says_so_all_the_time() -> None:
    cell = SupervisedCell()
    cell.complaints.policy = DAMAGED
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed > 0, 60.0)
        await cell.pass_s(0.5)

        tree, told = cell.tree(), cell.told()

    assert tree["state"] == "EXECUTE"
    assert any(DAMAGED.text in alarm for alarm in tree["alarms"])
    assert told.fault_code == 111
    assert told.good_count > 0


async def test_a_wrong_camera_in_the_place_of_an_unplugged_one_needs_a_person() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.camera_is_live = False
        cell.complaints.camera = NO_FEED
        await cell.until_state(State.HELD)
        await cell.pass_s(1.0)
        cell.complaints.camera = SWAPPED
        await cell.pass_s(0.2)
        travelled_rad = cell.servo.travelled_rad
        cell.complaints.camera = None
        cell.camera_is_live = True
        await cell.pass_s(8.0)
        tree = cell.tree()

        assert tree["state"] == "HELD"
        assert tree["since_then"] == ["camera_wrong_device"]
        assert cell.servo.travelled_rad == travelled_rad
        await cell.command(Command.UNHOLD)
        await cell.until_state(State.EXECUTE)


async def test_a_wrong_camera_seen_at_work_needs_a_person_though_it_went_again() -> (
    None
):
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "transferring")
        cell.camera_is_live = False
        cell.complaints.camera = SWAPPED
        await cell.pass_s(1.2)
        cell.camera_is_live = True
        cell.complaints.camera = None
        await cell.pass_s(8.0)
        tree = cell.tree()

    assert tree["state"] == "HELD"
    assert tree["cause"] == "camera_wrong_device"
    assert SWAPPED.text in tree["state_reason"]
